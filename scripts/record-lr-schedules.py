'''Records learning rates from PyTorch: python scripts/record-lr-schedules.py (from the repository's root, with torch 2.11).'''
import torch, json
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import *
def run(make, n=12, opt=None, plateau=None):
    p=torch.nn.Parameter(torch.zeros(1)); q=torch.nn.Parameter(torch.zeros(1))
    o=opt([p,q]) if opt else SGD([{'params':[p]},{'params':[q],'lr':0.3}],lr=0.1,momentum=0.9)
    s=make(o); out=[]
    for i in range(n):
        g=o.param_groups
        out.append([[x['lr'], (x['betas'][0] if 'betas' in x else x['momentum'])] for x in g]); o.step()
        s.step(plateau[i]) if plateau else s.step()
    return out
adam=lambda ps: AdamW(ps,lr=0.05)
R={
'lambda':run(lambda o:LambdaLR(o,[lambda e:0.9**e,lambda e:1/(e+1)])),
'multiplicative':run(lambda o:MultiplicativeLR(o,lambda e:0.95)),
'constant':run(lambda o:ConstantLR(o,factor=0.5,total_iters=4)),
'polynomial':run(lambda o:PolynomialLR(o,total_iters=6,power=2.0)),
'cosine':run(lambda o:CosineAnnealingLR(o,5,0.01)),
'sequential':run(lambda o:SequentialLR(o,[LinearLR(o,0.1,total_iters=3),ExponentialLR(o,0.9),StepLR(o,2)],[3,7])),
'chained':run(lambda o:ChainedScheduler([ConstantLR(o,0.1,3),ExponentialLR(o,0.9)],optimizer=o)),
'plateau':run(lambda o:ReduceLROnPlateau(o,factor=0.5,patience=1,cooldown=1,min_lr=[0.03,0.05]),12,None,[1,.9,.9,.9,.9,.9,.9,.8,.8,.8,.8,.8]),
'cyclic':run(lambda o:CyclicLR(o,[0.01,0.02],0.2,step_size_up=3,mode='triangular2')),
'onecycle':run(lambda o:OneCycleLR(o,0.5,epochs=4,steps_per_epoch=4,three_phase=True,anneal_strategy='linear'),16,adam),
'restarts':run(lambda o:CosineAnnealingWarmRestarts(o,3,1,0.01)),
}
json.dump(R,open('src/optim/lr_scheduler/traces.fixture.json','w'))
