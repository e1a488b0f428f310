"""The interface between the stages: features.h5, and the table read from it.

Stage one writes each space with `space_files`, in one of `embedding_dtypes`, and joins the spaces
with `hdf5_store`. Stage two reads the file with `hdf5_store` into the `FeatureTable` of
`feature_table`. `hdf5_checksums` verifies each dataset as it is read. Both stages cut the table's
rows into parts with `stratified_group_parts`.
"""
