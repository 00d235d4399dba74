"""Records distributions from PyTorch: python scripts/record-distributions.py (from the repository's root, with torch 2.11)."""
import torch, json, math, warnings
warnings.simplefilter('ignore')
import torch.distributions as D
_ic=torch.isclose
torch.isclose=lambda a,b,*r,**k:_ic(a,b.to(a.dtype),*r,**k)
def T(x): return {"t": x}
def K(n,*a,**k): return {"d": n, "args": list(a), "kwargs": k}
V=[0.5,1.5,3.0]
cases=[
 K("Normal",T([0.,1.,-2.]),T([1.,.5,2.])),
 K("Bernoulli",T([.2,.5,.9])), K("Bernoulli",None,T([-1.,0.,2.])),
 K("Beta",T([.5,2.,8.]),T([1.5,3.,9.])), K("Beta",T(2.),3.),
 K("Binomial",T([5.,5.,5.]),T([.2,.5,.9])), K("Binomial",7,None,T([-.5,.5])),
 K("Categorical",T([[.2,.3,.5],[1.,1.,2.]])), K("Categorical",None,T([.1,.2,-.3])),
 K("Cauchy",T([0.,1.]),T([1.,2.])), K("Chi2",T(V)),
 K("ContinuousBernoulli",T([.2,.5,.9])), K("ContinuousBernoulli",None,T([-1.,.001,2.])),
 K("Dirichlet",T([[.5,1.,2.],[7.,8.,9.]])), K("Exponential",T(V)), K("FisherSnedecor",T([3.,5.,7.]),T([5.,6.,8.])),
 K("Gamma",T(V),T([1.,2.,.5])), K("GeneralizedPareto",T([0.,1.]),T([1.,2.]),T([.2,-.3])), K("Geometric",T([.2,.5,1.])),
 K("Gumbel",T([0.,1.]),T([1.,2.])), K("HalfCauchy",T([1.,2.])), K("HalfNormal",T([1.,2.])),
 K("Independent",K("Normal",T([[0.,1.],[2.,3.]]),T([1.,2.])),1), K("InverseGamma",T([2.5,3.5]),T([1.,2.])),
 K("Kumaraswamy",T([2.,3.]),T([1.5,.7])), K("LKJCholesky",3,T([.7,2.])), K("Laplace",T([0.,1.]),T([1.,2.])),
 K("LogNormal",T([0.,1.]),T([.5,.3])), K("LogisticNormal",T([0.,1.]),T([.5,.3])),
 K("LowRankMultivariateNormal",T([[0.,1.,2.],[3.,4.,5.]]),T([[1.,0.],[.5,1.],[0.,.3]]),T([1.,2.,.5])),
 K("MixtureSameFamily",K("Categorical",T([.3,.7])),K("Normal",T([-1.,2.]),T([1.,.5]))),
 K("MixtureSameFamily",K("Categorical",T([[.3,.7],[.5,.5]])),K("Independent",K("Normal",T([[[-1.,2.],[0.,1.]],[[3.,4.],[5.,6.]]]),1.),1)),
 K("Multinomial",6,T([.2,.3,.5])),
 K("MultivariateNormal",T([[0.,1.],[2.,3.]]),T([[2.,.5],[.5,1.]])), K("MultivariateNormal",T([0.,1.]),precision_matrix=T([[2.,.5],[.5,1.]])),
 K("MultivariateNormal",T([0.,1.]),scale_tril=T([[[2.,0.],[.5,1.]],[[1.,0.],[.2,.5]]])),
 K("NegativeBinomial",T([3.,5.]),T([.3,.6])), K("OneHotCategorical",T([.2,.3,.5])), K("OneHotCategoricalStraightThrough",T([.2,.3,.5])),
 K("Pareto",T([1.,2.]),T([3.,4.])), K("Poisson",T([1.,4.,20.])), K("RelaxedBernoulli",T(.7),T([.2,.9])),
 K("RelaxedOneHotCategorical",T(.7),T([.2,.3,.5])), K("StudentT",T([1.,2.,5.]),T([0.,1.,2.]),2.),
 K("Uniform",T([0.,1.]),T([1.,4.])), K("VonMises",T([0.,1.]),T([1.,4.])), K("Weibull",T([1.,2.]),T([1.5,3.])),
 K("Wishart",T([4.,5.]),T([[2.,.5],[.5,1.]])),
]
def dec(x,dtype,leaves):
    if isinstance(x,dict) and "t" in x:
        t=torch.tensor(x["t"],dtype=dtype); 
        if leaves is not None: t.requires_grad_(); leaves.append(t)
        return t
    if isinstance(x,dict): return make(x,dtype,leaves)
    return x
def make(c,dtype,leaves=None):
    return getattr(D,c["d"])(*[dec(a,dtype,leaves) for a in c["args"]],**{k:dec(v,dtype,leaves) for k,v in c["kwargs"].items()})
def enc(t):
    f=lambda v: v if not isinstance(v,float) or math.isfinite(v) else str(v)
    g=lambda v: [g(w) for w in v] if isinstance(v,list) else f(v)
    return {"shape":list(t.shape),"data":[f(float(v)) for v in t.detach().double().reshape(-1).tolist()]}
out=[]
def attempt(f):
    try:
        r=f()
    except NotImplementedError: return None
    except (RuntimeError, AttributeError) as e:
        print('skip',e); return None
    return enc(r)
for c in cases:
    r={"make":c}
    for dt,name in ((torch.float32,"sample32"),(torch.float64,"sample64")):
        torch.manual_seed(7); 
        try: r[name]=enc(make(c,dt).sample((4,)))
        except Exception as e: print(c["d"],name,e)
    leaves=[]; d=make(c,torch.float64,leaves)
    torch.manual_seed(7); v=d.sample((4,))
    r["has_rsample"]=bool(d.has_rsample); r["batch_shape"]=list(d.batch_shape); r["event_shape"]=list(d.event_shape)
    for n in ("mean","mode","variance","stddev"): r[n]=attempt(lambda: getattr(d,n))
    r["entropy"]=attempt(d.entropy); r["log_prob"]=attempt(lambda: d.log_prob(v)); r["cdf"]=attempt(lambda: d.cdf(v))
    r["icdf"]=attempt(lambda: d.icdf(torch.tensor(0.3,dtype=torch.float64)))
    lp=d.log_prob(v)
    g=torch.autograd.grad(lp.sum(),leaves,allow_unused=True) if lp.requires_grad else [None]*len(leaves)
    r["log_prob_grads"]=[None if x is None else enc(x) for x in g]
    if d.has_rsample and c["d"] not in ("LogisticNormal",):
        leaves=[]; d=make(c,torch.float64,leaves); torch.manual_seed(7); s=d.rsample((4,))
        if s.requires_grad:
            w=torch.arange(s.numel(),dtype=torch.float64).reshape(s.shape)*.1+1
            try:
                g=torch.autograd.grad((s*w).sum(),leaves,allow_unused=True)
                r["rsample_grads"]=[None if x is None else enc(x) for x in g]
            except RuntimeError as e: print(c['d'],e)
    r["repr"]=repr(make(c,torch.float32))
    e=make(c,torch.float64).expand((2,)+tuple(d.batch_shape)) 
    r["expanded"]=None if e is None else {"batch_shape":list(e.batch_shape),"event_shape":list(e.event_shape),"log_prob":enc(e.log_prob(v[:2])) }
    out.append(r)
from torch.distributions import kl as KL
first={}
for c in cases: first.setdefault(c["d"],c)
# parameters of one element so that every pair broadcasts
one={
 "Bernoulli":K("Bernoulli",T([.3])),"Beta":K("Beta",T([2.]),T([3.])),"Binomial":K("Binomial",5,T([.3])),"Categorical":K("Categorical",T([.2,.3,.5])),"Cauchy":K("Cauchy",T([.5]),T([2.])),
 "Chi2":K("Chi2",T([3.])),"ContinuousBernoulli":K("ContinuousBernoulli",T([.3])),"Dirichlet":K("Dirichlet",T([.5,1.,2.])),"Exponential":K("Exponential",T([1.5])),"Gamma":K("Gamma",T([2.]),T([1.5])),
 "Geometric":K("Geometric",T([.3])),"Gumbel":K("Gumbel",T([.5]),T([2.])),"HalfNormal":K("HalfNormal",T([2.])),"Independent":K("Independent",K("Normal",T([0.,1.]),T([1.,2.])),1),"Laplace":K("Laplace",T([.5]),T([2.])),
 "LowRankMultivariateNormal":K("LowRankMultivariateNormal",T([0.,1.]),T([[1.],[.5]]),T([1.,2.])),"MultivariateNormal":K("MultivariateNormal",T([[0.,1.],[2.,3.]]),T([[2.,.5],[.5,1.]])),
 "Normal":K("Normal",T([.5]),T([2.])),"OneHotCategorical":K("OneHotCategorical",T([.2,.3,.5])),"Pareto":K("Pareto",T([.4]),T([3.])),"Poisson":K("Poisson",T([2.])),"Uniform":K("Uniform",T([.2]),T([.8])),
 "LogNormal":K("LogNormal",T([.5]),T([2.])),"Wishart":K("Wishart",T([4.]),T([[2.,.5],[.5,1.]])),
}
other={"Bernoulli":K("Bernoulli",T([.6])),"Beta":K("Beta",T([1.]),T([2.5])),"Binomial":K("Binomial",5,T([.6])),"Categorical":K("Categorical",T([.5,.2,.3])),"Cauchy":K("Cauchy",T([1.5]),T([1.])),
 "ContinuousBernoulli":K("ContinuousBernoulli",T([.7])),"Uniform":K("Uniform",T([.1]),T([.9])),"Normal":K("Normal",T([1.5]),T([1.])),"Dirichlet":K("Dirichlet",T([1.5,1.,3.])),"Poisson":K("Poisson",T([3.])),"Wishart":K("Wishart",T([5.]),T([[1.,.2],[.2,1.]])),
 "Exponential":K("Exponential",T([.5])),"Gamma":K("Gamma",T([3.]),T([.5])),"Geometric":K("Geometric",T([.6])),"LowRankMultivariateNormal":K("LowRankMultivariateNormal",T([1.,1.]),T([[.3],[.8]]),T([2.,1.])),"Pareto":K("Pareto",T([.1]),T([2.5])),"LogNormal":K("LogNormal",T([.1]),T([1.]))}
kls=[]
pairs=[(p.__name__,q.__name__) for p,q in KL._KL_REGISTRY]+[("LogNormal","LogNormal"),("Chi2","Chi2"),("Wishart","Wishart"),("Chi2","Exponential")]
for p,q in pairs:
    if p not in one or q not in one: print('no',p,q); continue
    P,Q=one[p],other.get(q,one[q])
    kls.append({"p":P,"q":Q,"value":enc(D.kl_divergence(make(P,torch.float64),make(Q,torch.float64)))})
errs=[]
def err(label,c,f):
    try: f(make(c,torch.float32)); print('no error',label)
    except Exception as e: errs.append({"make":c,"what":label,"text":str(e)})
err("make",K("Normal",T([0.,1.]),T([1.,-1.])),lambda d:0)
err("make",K("Normal",0.,-1.),lambda d:0)
err("make",K("Bernoulli"),lambda d:0)
err("make",K("Bernoulli",T([.5,1.5])),lambda d:0)
err("make",K("Categorical",T(.5)),lambda d:0)
err("make",K("Geometric",T([0.,.5])),lambda d:0)
err("make",K("Uniform",T([1.]),T([0.])),lambda d:0)
err("make",K("Dirichlet",T([-1.,1.])),lambda d:0)
err("make",K("MultivariateNormal",T([0.,1.]),T([[1.,2.],[2.,1.]])),lambda d:0)
err("make",K("MultivariateNormal",T([0.,1.])),lambda d:0)
err("make",K("Independent",K("Normal",T([0.,1.]),T([1.,1.])),2),lambda d:0)
err("log_prob",K("Exponential",T([1.])),lambda d:d.log_prob(torch.tensor([-1.])))
err("log_prob",K("Binomial",3,T([.5])),lambda d:d.log_prob(torch.tensor([-1.])))
err("log_prob",K("Beta",T([1.]),T([1.])),lambda d:d.log_prob(torch.tensor([-1.])))
err("log_prob",K("Normal",T([1.,2.,3.]),T([1.])),lambda d:d.log_prob(torch.tensor([-1.,2.])))
err("log_prob",K("MultivariateNormal",T([0.,1.]),T([[1.,0.],[0.,1.]])),lambda d:d.log_prob(torch.tensor([-1.])))
err("mode",K("ContinuousBernoulli",T([.5])),lambda d:d.mode)
tr=[]
X=torch.tensor([[.3,-.7,1.2],[.1,.4,-2.]],dtype=torch.float64)
import torch.distributions.transforms as TR
for n,t,x in [("ExpTransform",TR.ExpTransform(),X),("SigmoidTransform",TR.SigmoidTransform(),X),("TanhTransform",TR.TanhTransform(),X),("SoftplusTransform",TR.SoftplusTransform(),X),("StickBreakingTransform",TR.StickBreakingTransform(),X),("CorrCholeskyTransform",TR.CorrCholeskyTransform(),X)]:
    y=t(x); tr.append({"name":n,"x":enc(x),"y":enc(y),"back":enc(t.inv(y)),"log":enc(t.log_abs_det_jacobian(x,y))})
json.dump({"cases":out,"kl":kls,"errors":errs,"transforms":tr},open('src/distributions/distributions.fixture.json','w'))
