"""Train an autoencoder as two networks that can be used apart, on scikit-learn's digits.

The decoder's input gradient is what the encoder is trained by, so the halves learn as one network
would. Afterwards the encoder alone draws a map of the digits, and a classifier learns on its codes
while the encoder stays as it is. Saves a picture if matplotlib is there:
python examples/autoencoder.py [digits.png]. About 4 seconds on one core.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import pynn
from pynn import layers as L

EPOCHS, BATCH, CODE = 60, 64, 8

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
X, X_test, y, y_test = train_test_split(X, y, random_state=0, stratify=y)

encoder = pynn.Sequential(
    [L.Dense(128), L.BatchNorm(0.9), L.Activation("relu"), L.Dense(CODE)],
    input_shape=64, loss="mse", seed=0,
)  # fmt: skip
decoder = pynn.Sequential(
    [L.Dense(128, "relu"), L.Dense(64, "sigmoid")], input_shape=CODE, loss="mse", seed=1
)
encoder_step, decoder_step = pynn.Adam(2e-3), pynn.Adam(2e-3)

rng = np.random.default_rng(0)
for epoch in range(EPOCHS):
    losses = []
    for rows in np.array_split(rng.permutation(len(X)), len(X) // BATCH):
        batch = X[rows]
        code = encoder(batch, training=True)
        loss, gradients = decoder.gradients(code, batch, training=True)
        d_code = decoder.input_gradient(code, batch, training=True)
        _, encoder_gradients = encoder.backward(d_code, batch, training=True, parameters=True)
        decoder_step.apply_gradients(decoder, gradients)
        encoder_step.apply_gradients(encoder, encoder_gradients)
        losses.append(loss)
    if (epoch + 1) % 20 == 0:
        print(f"epoch {epoch + 1}: mean squared error {np.mean(losses):.4f}")

restored = decoder(encoder(X_test))
variance = X.var(axis=0).mean()
error = ((restored - X_test) ** 2).mean()
print(f"test: {CODE} numbers keep {1 - error / variance:.0%} of the variance of 64 pixels")

classifier = pynn.MLP([CODE, 64, 10], seed=2)
classifier.fit(encoder(X), y, epochs=60)
print(
    f"test accuracy of a classifier on the codes: {classifier.score(encoder(X_test), y_test):.3f}"
)

try:
    from matplotlib import pyplot as plt
except ImportError:
    print("no picture: pip install matplotlib")
else:
    fig, axes = plt.subplots(2, 10, figsize=(8, 2))
    for column in range(10):
        for row, images in enumerate((X_test, restored)):
            axes[row, column].imshow(images[column].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axes[row, column].axis("off")
    fig.suptitle(f"digits, and what {CODE} numbers keep of them")
    fig.savefig(sys.argv[1] if len(sys.argv) > 1 else "digits.png", dpi=120)
