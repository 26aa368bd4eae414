package diskimage

// Check reads all metadata of an image, and no content. Its error says what is
// wrong: tables that point outside the file or to what something else uses, and
// in QCOW2 clusters that are used more often than their refcounts say. What
// nothing uses is no error. RAW and fixed VHD have no metadata that could be
// wrong.
//
// Open looks at no more than it needs, so an image that was opened may have
// damage in a part of the disk that was never read.
func Check(img Image) error {
	if c, ok := img.(interface{ Check() error }); ok {
		return c.Check()
	}
	for _, err := range img.Extents() {
		if err != nil {
			return err
		}
	}
	return nil
}
