package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// wait looks for the end of an export: its entry under active/ goes. Its looks
// are not counted: no function asks for a HEAD of the records bucket.
func wait(ctx context.Context, environment map[string]string, id string) error {
	client, err := oss.New(environment["OSS_ENDPOINT"], environment["ACCESS_KEY_ID"], environment["ACCESS_KEY_SECRET"],
		oss.AuthVersion(oss.AuthV4), oss.Region(environment["REGION"]))
	if err != nil {
		return err
	}
	bucket, err := client.Bucket(environment["RECORDS_BUCKET"])
	if err != nil {
		return err
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); {
		open, err := bucket.IsObjectExist("active/" + id)
		if err != nil || !open {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("export %s has not ended", id)
}
