package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Folder is a folder of images that passed every check.
type Folder struct {
	dir    string
	root   *os.Root
	images []Image
}

// Load reads every *.json in dir, not below it. Fields that are left out and
// that an image always has get the value that an ordinary custom image of
// accountID has; see complete. All mistakes are returned together.
func Load(dir string, accountID int64) (*Folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open images folder: %w; make it, or name another one", err)
	}
	f := &Folder{dir: dir, root: root}
	if err := f.load(accountID); err != nil {
		root.Close()
		return nil, fmt.Errorf("load images of %s: %w", dir, err)
	}
	return f, nil
}

// Images returns the images, the newest first, as DescribeImages lists them.
// The caller must not change them.
func (f *Folder) Images() []Image { return f.images }

// Image returns the image of that id.
func (f *Folder) Image(id string) (Image, bool) {
	for _, i := range f.images {
		if i.ImageID == id {
			return i, true
		}
	}
	return Image{}, false
}

// Close releases the folder.
func (f *Folder) Close() error { return f.root.Close() }

func (f *Folder) load(accountID int64) error {
	names, err := filepath.Glob(filepath.Join(globEscape(f.dir), "*.json"))
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("no *.json in it; an image is one JSON file as DescribeImages returns it, with a File for each disk")
	}
	var problems []error
	from := map[string]string{}
	for _, path := range names {
		name := filepath.Base(path)
		img, err := f.read(name, accountID)
		if err == nil && from[img.ImageID] != "" {
			err = fmt.Errorf("ImageId %s is also in %s", img.ImageID, from[img.ImageID])
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
			continue
		}
		from[img.ImageID] = name
		f.images = append(f.images, img)
	}
	sort.SliceStable(f.images, func(a, b int) bool {
		return f.images[a].CreationTime > f.images[b].CreationTime
	})
	return errors.Join(problems...)
}

// globEscape keeps a folder's name from being read as a pattern.
func globEscape(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// written is an image as its file holds it: the shape of DescribeImages, and a
// File for each disk.
type written struct {
	Image
	DiskDeviceMappings struct {
		DiskDeviceMapping []writtenMapping
	}
}

type writtenMapping struct {
	Mapping
	// SnapshotID is made up where it is left out; an empty one is that of a data
	// disk which the image creates empty.
	SnapshotID *string `json:"SnapshotId"`
	File       string
}

func (f *Folder) read(name string, accountID int64) (Image, error) {
	body, err := f.root.ReadFile(name)
	if err != nil {
		return Image{}, err
	}
	var w written
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&w); err != nil {
		return Image{}, located(body, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Image{}, errors.New("more than one JSON value; keep one image per file")
	}
	img := w.Image
	for _, m := range w.DiskDeviceMappings.DiskDeviceMapping {
		m.Mapping.File = m.File
		if m.SnapshotID == nil {
			made := fmt.Sprintf("s-%x", sha256.Sum256([]byte(img.ImageID+m.Device)))[:22]
			m.SnapshotID = &made
		}
		m.Mapping.SnapshotID = *m.SnapshotID
		img.DiskDeviceMappings.DiskDeviceMapping = append(img.DiskDeviceMappings.DiskDeviceMapping, m.Mapping)
	}
	info, err := f.root.Stat(name)
	if err != nil {
		return Image{}, err
	}
	complete(&img, accountID, info.ModTime())
	return img, errors.Join(check(img), f.checkFiles(img))
}

// located adds the line to an error of the JSON decoder that has an offset.
func located(body []byte, err error) error {
	var (
		syntax *json.SyntaxError
		typ    *json.UnmarshalTypeError
		offset int64
	)
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &typ):
		offset = typ.Offset
	default:
		return err
	}
	line := 1 + bytes.Count(body[:min(offset, int64(len(body)))], []byte("\n"))
	return fmt.Errorf("line %d: %w", line, err)
}

// Write writes img with the File of each disk as dir/<image id>.json, at once
// or not at all.
func Write(dir string, img Image) error {
	w := written{Image: img}
	for _, m := range img.DiskDeviceMappings.DiskDeviceMapping {
		w.DiskDeviceMappings.DiskDeviceMapping = append(w.DiskDeviceMappings.DiskDeviceMapping,
			writtenMapping{Mapping: m, SnapshotID: &m.SnapshotID, File: m.File})
	}
	body, err := json.MarshalIndent(w, "", "  ")
	if err != nil {
		return fmt.Errorf("encode image %s: %w", img.ImageID, err)
	}
	tmp, err := os.CreateTemp(dir, ".image-*")
	if err != nil {
		return fmt.Errorf("write image %s: %w", img.ImageID, err)
	}
	_, err = tmp.Write(append(body, '\n'))
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dir, img.ImageID+".json"))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write image %s: %w", img.ImageID, err), os.Remove(tmp.Name()))
	}
	return nil
}
