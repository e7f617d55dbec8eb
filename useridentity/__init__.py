"""User identity in DICOM association negotiation (PS3.7 D.3.3.7)."""
