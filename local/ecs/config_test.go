package ecs_test

import (
	"strings"
	"testing"

	"ecs-image-export/local/ecs"
	"ecs-image-export/local/ecs/image"
)

// A disk without content is an error at the start, but only where someone could
// ask for its export.
func TestOpenNeedsFiles(t *testing.T) {
	t.Parallel()
	bare := disk("system", "xvda", "1", "")
	open := func(images ...image.Image) error {
		a := newAccount()
		s, err := ecs.Open(ecs.Config{
			Dir: t.TempDir(), Images: folder(t, nil, images...), AccountID: accountID, Region: region,
			Identities: a, Roles: a, OSSEndpoint: "http://127.0.0.1:1",
		})
		if err == nil {
			err = s.Close()
		}
		return err
	}
	if err := open(with("m-1", bare)); err == nil || !strings.Contains(err.Error(), "disk /dev/xvda has no File") {
		t.Errorf("disk without a file: %v", err)
	}
	if err := open(with("m-1")); err == nil || !strings.Contains(err.Error(), "no DiskDeviceMapping") {
		t.Errorf("image without a disk: %v", err)
	}
	for name, change := range map[string]func(*image.Image){
		"creating": func(i *image.Image) { i.Status = "Creating" },
		"windows":  func(i *image.Image) { i.OSType = "windows" },
		"shared":   func(i *image.Image) { i.ImageOwnerAlias = "others" },
	} {
		if err := open(changed(with("m-1", bare), change)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
