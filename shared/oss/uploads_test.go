package oss_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"

	"ecs-image-export/shared/oss"
)

func TestUploads(t *testing.T) {
	t.Parallel()
	var endpoint string
	b := stand(t, func(c *oss.Config) { endpoint = c.Endpoint })
	client, err := sdk.New(endpoint, "id", "secret", sdk.SecurityToken("token"), sdk.AuthVersion(sdk.AuthV4), sdk.Region("cn-hangzhou"))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := client.Bucket(bucket)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, key := range []string{"demo_m-1_system.raw.tar.gz", "demo_a b+c", "other"} {
		upload, err := raw.InitiateMultipartUpload(key)
		if err != nil {
			t.Fatal(err)
		}
		want[key] = upload.UploadID
	}
	uploads, err := b.Uploads(t.Context(), "demo_")
	if err != nil || len(uploads) != 2 {
		t.Fatalf("%+v %v", uploads, err)
	}
	for _, u := range uploads {
		if u.ID != want[u.Key] || u.Initiated.IsZero() {
			t.Errorf("%+v", u)
		}
	}
	if uploads, err := b.Uploads(t.Context(), "none"); err != nil || len(uploads) != 0 {
		t.Errorf("%+v %v", uploads, err)
	}
	for range 2 { // the second time there is none
		if err := b.Abort(t.Context(), uploads[0]); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := b.Uploads(t.Context(), "demo_"); err != nil || len(left) != 1 || left[0] != uploads[1] {
		t.Errorf("left after one was aborted: %+v %v", left, err)
	}
	if err := b.Abort(t.Context(), oss.Upload{ID: "x"}); !errors.Is(err, oss.ErrInvalid) {
		t.Errorf("without a key: %v", err)
	}
}

func TestUploadsOfManyPages(t *testing.T) {
	t.Parallel()
	page := func(w http.ResponseWriter, i int, truncated bool, marker string) {
		fmt.Fprintf(w, `<ListMultipartUploadsResult><IsTruncated>%v</IsTruncated><NextKeyMarker>%s</NextKeyMarker><NextUploadIdMarker>%s</NextUploadIdMarker>`+
			`<Upload><Key>k%d</Key><UploadId>u%d</UploadId><Initiated>2012-02-23T04:18:23.000Z</Initiated></Upload></ListMultipartUploadsResult>`, truncated, marker, marker, i, i)
	}
	b, hits := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("key-marker") {
		case "":
			page(w, 1, true, "m1")
		case "m1":
			page(w, 2, true, "m2")
		default:
			page(w, 3, false, "")
		}
	})
	uploads, err := b.Uploads(t.Context(), "")
	if err != nil || len(uploads) != 3 || uploads[2].Key != "k3" || hits.Load() != 3 {
		t.Errorf("%+v %v", uploads, err)
	}
	// A server that gives the same page for ever.
	b, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) { page(w, 1, true, "m") })
	if _, err := b.Uploads(t.Context(), ""); err == nil {
		t.Error("no error")
	}
	b, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"))
	})
	if _, err := b.List(t.Context(), oss.ListOptions{}); err == nil {
		t.Error("a listing that goes on without a token: no error")
	}
}
