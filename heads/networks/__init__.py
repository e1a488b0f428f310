"""Training of the heads that are small networks, with PyTorch. `heads.mlp` and `heads.align` call
it in `fit`; what they need to predict is in their own files, so that it needs no PyTorch."""
