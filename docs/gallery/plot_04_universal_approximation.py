"""
draft
"""
import matplotlib.pyplot as plt
import numpy as np

import pynn
import time

def continuous(x):
    return np.sin(2*np.pi*x) * np.exp(-x) + np.abs(x-0.25)

def discontinuous(x):
    return np.where(np.floor(2*x) % 2 == 0, 1.0, -1.0)
x=np.linspace(-1,1,512)[:,None]
fine=np.linspace(-1,1,20001)[:,None]
widths=[1,2,4,8,16,32,64,128]
for act in ("relu","tanh"):
  for lr in (0.01,0.03):
    for f in (continuous, discontinuous):
        t=time.time()
        grid=[{"hidden":(w,),"seed":s} for w in widths for s in range(4)]
        for g in grid: g.update(activation=act, loss="mse")
        E=1000
        res=pynn.fit_many(grid, x, f(x), epochs=E, batch_size=64, optimizer=pynn.Adam(pynn.CosineDecay(lr, steps=8*E)))
        err=np.array([np.sqrt(np.mean((net(fine)-f(fine))**2)) for net in res]).reshape(len(widths),-1)
        sup=np.array([np.abs((net(fine)-f(fine))).max() for net in res]).reshape(len(widths),-1)
        print(act, lr, f.__name__, err.min(1).round(4), np.median(err,1).round(4), sup.min(1).round(3), time.time()-t)
