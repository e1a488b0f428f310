"""The interface between the stages: features.h5, and the table read from it.

Stage one writes the file with `hdf5_store`; stage two reads it with `hdf5_store` into the
`FeatureTable` of `feature_table`. `hdf5_checksums` verifies each dataset as it is read.
"""
