"""The two towers, image and text, and what joins them.

`pretrained_weights` loads both backbones by name: from the hub (`hub_download`), from packages
(`bundled_weights`) or from a folder. `encoders` adapts timm and transformers models to one
interface with pooling. `fusion` maps two embeddings to one logit, `joint_model` holds towers and
fusion head, and `device` chooses the device and the precision (AMP) of each tower.
"""
