"""Fine-tuning of both towers and the fusion head.

`training_loop` runs the epochs, and `optimizer_step` the forward and backward pass and the update
of each batch. `augmentation` flips and crops pictures. `resume_training` saves everything between
epochs, so that an interrupted training resumes. `distributed` and `sync_batch_norm` support several
processes; `out_of_memory` splits batches that do not fit into the device's memory.
"""
