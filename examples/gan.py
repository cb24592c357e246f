"""Train a generative adversarial network on a ring of eight Gaussians.

Two networks are trained through each other: the gradient of the discriminator's loss with respect
to the generated samples is what the generator is trained by. Saves a picture if matplotlib is
there: python examples/gan.py [ring.png]. About 4 seconds on one core.

I. Goodfellow et al., "Generative adversarial nets", NeurIPS 2014.
"""

import sys
from typing import Any

import numpy as np

import pynn
from pynn import layers as L

STEPS, BATCH, NOISE = 4000, 128, 8

rng = np.random.default_rng(0)


def ring(n: int) -> Any:
    """Samples of eight Gaussians on a circle of radius 2."""
    angle = rng.integers(8, size=n) * np.pi / 4
    centers = 2 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (centers + rng.normal(0, 0.1, (n, 2))).astype(np.float32)


generator = pynn.Sequential(
    [L.Dense(64, "relu"), L.Residual([L.Dense(64, "relu"), L.Dense(64)], "relu"), L.Dense(2)],
    input_shape=NOISE, loss="mse", seed=1,
)  # fmt: skip
discriminator = pynn.Sequential(
    [L.Dense(64, "leaky_relu"), L.Dense(64, "leaky_relu"), L.Dense(1)],
    input_shape=2, loss="sigmoid_cross_entropy", seed=2,
)  # fmt: skip
generator_step = pynn.Adam(1e-3, beta1=0.5)
discriminator_step = pynn.Adam(1e-3, beta1=0.5)
ones, zeros = np.ones(BATCH, int), np.zeros(BATCH, int)

for step in range(STEPS):
    noise = rng.normal(size=(BATCH, NOISE)).astype(np.float32)
    fake = generator(noise, training=True)
    # The discriminator learns to tell real samples (1) from generated ones (0).
    samples = np.concatenate([ring(BATCH), fake])
    labels = np.concatenate([ones, zeros])
    d_loss = discriminator.train_on_batch(samples, labels, discriminator_step)
    # The generator's samples move to where the discriminator would say 1.
    d_fake = discriminator.input_gradient(fake, ones)
    _, gradients = generator.backward(d_fake, noise, training=True, parameters=True)
    generator_step.apply_gradients(generator, gradients)
    if (step + 1) % 1000 == 0:
        print(f"step {step + 1}: discriminator's loss {d_loss:.3f}")

made = generator(rng.normal(size=(2000, NOISE)).astype(np.float32))
angles = np.arange(8) * np.pi / 4
centers = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
distance = np.linalg.norm(made[:, np.newaxis] - centers, axis=2)
near, nearest = distance.min(axis=1) < 0.5, distance.argmin(axis=1)
shares = np.bincount(nearest[near], minlength=8) / len(made)
print(f"{near.mean():.0%} of 2000 samples lie near a center; by center:", shares.round(2))

try:
    from matplotlib import pyplot as plt
except ImportError:
    print("no picture: pip install matplotlib")
else:
    fig, axes = plt.subplots(figsize=(4, 4))
    real = ring(1000)
    axes.scatter(*real.T, s=4, label="real")
    axes.scatter(*made[:1000].T, s=4, label="generated")
    axes.set_aspect("equal")
    axes.legend()
    fig.savefig(sys.argv[1] if len(sys.argv) > 1 else "ring.png", dpi=120)
