package ecs_test

import (
	"testing"
	"time"

	"ecs-image-export/local/ecs"
	"ecs-image-export/local/ecs/sample"
)

// Two hundred images at once: all end, and each leaves its objects.
func TestManyExports(t *testing.T) {
	t.Parallel()
	n := 200
	if testing.Short() {
		n = 20
	}
	dir := t.TempDir()
	images, err := sample.Small(dir, n)
	if err != nil {
		t.Fatal(err)
	}
	c := newCloud(t, dir, func(c *ecs.Config) { c.Concurrent = 8 })
	start := time.Now()
	for _, id := range images {
		c.export(params{"ImageId": id, "OSSPrefix": "load"})
	}
	eventually(t, func() bool {
		return c.must("DescribeTasks", params{"TaskStatus": "Finished"})["TotalCount"] == float64(n)
	}, func() string { return "not all have ended" })
	t.Logf("%d exports in %v", n, time.Since(start).Round(time.Millisecond))
	if got := len(c.keys()); got != n+n/2 {
		t.Errorf("%d objects, want %d", got, n+n/2)
	}
}
