"""Search the files of a data set: `folder_walk` goes through its folders, `find_images` finds the
pictures where the table says, or in `picture_index`, which has all by name."""
