package tracker_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"ecs-image-export/local/cloud"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/tracker"
	"ecs-image-export/shared/tracker/trackertest"
)

// submit begins an export, submits it and follows it to its end.
func submit(t *testing.T, tr *tracker.Tracker, r export.Request) *tracker.Followed {
	t.Helper()
	f, err := tr.Begin(t.Context(), "", r)
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if err := tr.Step(t.Context(), f, tracker.Known{}); err != nil {
			t.Fatal(err)
		}
		if f.Ended() {
			return f
		}
		if time.Now().After(deadline) {
			t.Fatalf("export %s is still %s", f.ID, f.State)
		}
	}
}

// TestRefusals wants an export that ECS refuses to end as failed with what ECS
// said, and with no task.
func TestRefusals(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 3, cloud.Options{Speed: 1, TaskLeast: time.Hour})
	tr := c.Tracker(t, c.Config())
	busy, err := tr.Begin(t.Context(), "", c.Request(t, c.Images[2]))
	if err == nil {
		err = tr.Step(t.Context(), busy, tracker.Known{})
	}
	if err != nil || busy.State != export.Exporting {
		t.Fatalf("the image that is to be busy: %s, %v", busy.State, err)
	}
	for code, change := range map[string]func(*export.Request){
		"NoSetRoletoECSServiceAcount":           func(r *export.Request) { r.RoleName = "nobody" },
		"InvalidImageFormat.RegionNotSupported": func(r *export.Request) { r.Format = export.QCOW2 },
		"InvalidOSSBucket.NotFound":             func(r *export.Request) { r.Bucket = "no-such-bucket-here" },
		"ImageIsExporting":                      func(r *export.Request) { *r = c.Request(t, c.Images[2]) },
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := c.Request(t, c.Images[0])
			change(&r)
			f := submit(t, tr, r)
			if f.State != export.Failed || f.Failure.Code != code || f.Failure.Message == "" || f.Failure.RequestID == "" {
				t.Errorf("ended as %s: %+v", f.State, f.Failure)
			}
			if f.Task.ID != "" {
				t.Errorf("there is a task: %s", f.Task.ID)
			}
		})
	}
}

// TestFailedTask wants the reason of ECS for a task that failed, and the disks
// that landed all the same.
func TestFailedTask(t *testing.T) {
	t.Parallel()
	c := trackertest.Start(t, 2, cloud.Options{})
	r := c.Request(t, c.Images[1])
	if err := os.Remove(filepath.Join(c.Folder, "small", c.Images[1]+"_xvdb.raw")); err != nil {
		t.Fatal(err)
	}
	f := submit(t, c.Tracker(t, c.Config()), r)
	if f.State != export.Failed || f.Failure.Code == "" || f.Failure.Code == export.CodeTaskFailed {
		t.Errorf("ended as %s: %+v", f.State, f.Failure)
	}
	if len(f.Landed) != 1 || f.Landed["/dev/xvda"].Key == "" {
		t.Errorf("landed: %+v", f.Landed)
	}
}
