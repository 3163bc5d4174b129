"""What training and evaluation read: datasets in folders, slices in memory, augmentation, and how data are made."""
