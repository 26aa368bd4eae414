package oss_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"ecs-image-export/shared/oss"
)

func TestCodesBecomeSentinels(t *testing.T) {
	t.Parallel()
	create := func(ctx context.Context, b *oss.Bucket) error { return b.Create(ctx, "k", []byte("x")) }
	get := func(ctx context.Context, b *oss.Bucket) error { _, _, err := b.Get(ctx, "k"); return err }
	add := func(ctx context.Context, b *oss.Bucket) error {
		_, err := b.Append(ctx, "k", 1, []byte("x"))
		return err
	}
	info := func(ctx context.Context, b *oss.Bucket) error { _, err := b.Info(ctx); return err }
	all := []error{oss.ErrNotFound, oss.ErrNoBucket, oss.ErrExists, oss.ErrPosition, oss.ErrNotAppendable, oss.ErrDenied,
		oss.ErrVersioned, oss.ErrTooLarge, oss.ErrCorrupt, oss.ErrInvalid, oss.ErrUnsettled}
	for _, test := range []struct {
		do     func(context.Context, *oss.Bucket) error
		status int
		code   string
		want   error
	}{
		{get, 404, "NoSuchKey", oss.ErrNotFound},
		{get, 404, "NoSuchBucket", oss.ErrNoBucket},
		{get, 403, "AccessDenied", oss.ErrDenied},
		{get, 403, "InvalidAccessKeyId", oss.ErrDenied},
		{get, 403, "SignatureDoesNotMatch", oss.ErrDenied},
		{get, 403, "SecurityTokenExpired", oss.ErrDenied},
		{get, 403, "RequestTimeTooSkewed", oss.ErrDenied},
		{create, 409, "FileAlreadyExists", oss.ErrExists},
		{add, 409, "PositionNotEqualToLength", oss.ErrPosition},
		{add, 409, "ObjectNotAppendable", oss.ErrNotAppendable},
		{info, 404, "NoSuchBucket", oss.ErrNoBucket},
		{create, 500, "InternalError", oss.ErrUnsettled},
		{create, 400, "InvalidArgument", nil},
		{get, 500, "InternalError", nil},
	} {
		t.Run(test.code, func(t *testing.T) {
			t.Parallel()
			b, _ := serve(t, refuse(test.status, test.code))
			err := test.do(t.Context(), b)
			var e *oss.Error
			if !errors.As(err, &e) {
				t.Fatalf("%T: %v", err, err)
			}
			if e.Code != test.code || e.Status != test.status || e.Message != "because" || e.RequestID != "5C3D9175B6FC201293AD****" || e.Bucket != bucket {
				t.Errorf("%+v", e)
			}
			for _, sentinel := range all {
				if got := errors.Is(err, sentinel); got != (sentinel == test.want) {
					t.Errorf("is %q: %v", sentinel, got)
				}
			}
			if !strings.Contains(err.Error(), test.code) || !strings.Contains(err.Error(), e.RequestID) {
				t.Errorf("text %q", err)
			}
		})
	}
}

func TestABucketElsewhereIsKnownByItsEndpoint(t *testing.T) {
	t.Parallel()
	for endpoint, region := range map[string]string{
		"oss-cn-beijing.aliyuncs.com":          "cn-beijing",
		"oss-us-west-1-internal.aliyuncs.com":  "us-west-1",
		"":                                     "",
		"oss-cn-beijing.aliyuncs.com.evil.org": "",
		"cn-beijing.aliyuncs.com":              "",
	} {
		b, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>The bucket you are attempting to access must be addressed using the specified endpoint.</Message><RequestId>R</RequestId><Endpoint>`+endpoint+`</Endpoint></Error>`)
		})
		_, err := b.Info(t.Context())
		var e *oss.Error
		if !errors.As(err, &e) || !errors.Is(err, oss.ErrDenied) || errors.Is(err, oss.ErrElsewhere) != (region != "") || e.Region != region {
			t.Errorf("%q: got %+v, want region %q", endpoint, e, region)
		}
	}
}

func TestEncryptionOfAnyKindIsSeen(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		"":                            "",
		"<ServerSideEncryptionRule/>": "",
		"<ServerSideEncryptionRule><SSEAlgorithm>None</SSEAlgorithm></ServerSideEncryptionRule>":                                                                               "",
		"<ServerSideEncryptionRule><SSEAlgorithm>AES256</SSEAlgorithm></ServerSideEncryptionRule>":                                                                             "AES256",
		"<ServerSideEncryptionRule><SSEAlgorithm>SM4</SSEAlgorithm></ServerSideEncryptionRule>":                                                                                "SM4",
		"<ServerSideEncryptionRule><SSEAlgorithm>KMS</SSEAlgorithm><KMSMasterKeyID/></ServerSideEncryptionRule>":                                                               "KMS",
		"<ServerSideEncryptionRule><SSEAlgorithm>KMS</SSEAlgorithm><KMSMasterKeyID>9468</KMSMasterKeyID><KMSDataEncryption>SM4</KMSDataEncryption></ServerSideEncryptionRule>": "KMS",
		"<ServerSideEncryptionRule><KMSMasterKeyID>9468</KMSMasterKeyID></ServerSideEncryptionRule>":                                                                           "KMS",
	} {
		b, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `<?xml version="1.0"?><BucketInfo><Bucket><Name>b</Name><Location>oss-cn-hangzhou</Location>`+rule+`</Bucket></BucketInfo>`)
		})
		if info, err := b.Info(t.Context()); err != nil || info.Encryption != want {
			t.Errorf("%s: got %q, %v, want %q", rule, info.Encryption, err, want)
		}
	}
}

func TestHeadHasNoBodyForItsError(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status int
		err    string // of the header x-oss-err
		want   error
	}{
		{"bare 404", 404, "", oss.ErrNotFound},
		{"bare 403", 403, "", oss.ErrDenied},
		{"no bucket", 404, "<Error><Code>NoSuchBucket</Code></Error>", oss.ErrNoBucket},
		{"no key", 404, "<Error><Code>NoSuchKey</Code></Error>", oss.ErrNotFound},
		{"garbled header", 404, "\x00", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.err != "" {
					w.Header().Set("x-oss-err", base64.StdEncoding.EncodeToString([]byte(test.err)))
				}
				w.WriteHeader(test.status)
			})
			_, err := b.Head(t.Context(), "k")
			if err == nil || (test.want != nil && !errors.Is(err, test.want)) {
				t.Errorf("error %v, want %v", err, test.want)
			}
			var e *oss.Error
			if !errors.As(err, &e) || e.Status != test.status {
				t.Errorf("status %+v, want %d", e, test.status)
			}
		})
	}
}

func TestWhatCannotBeIsNotSent(t *testing.T) {
	t.Parallel()
	b, hits := serve(t, refuse(500, "InternalError"))
	for _, key := range []string{"", "/a", `\a`, "a\xff", strings.Repeat("a", 1024)} {
		_, _, get := b.Get(t.Context(), key)
		_, _, open := b.Open(t.Context(), key)
		_, head := b.Head(t.Context(), key)
		_, add := b.Append(t.Context(), key, 0, nil)
		_, _, sign := b.SignGet(t.Context(), key, 1e12, oss.SignOptions{})
		for i, err := range []error{get, open, head, add, sign, b.Put(t.Context(), key, nil, oss.PutOptions{}), b.Create(t.Context(), key, nil),
			b.Delete(t.Context(), key), b.DeleteMany(t.Context(), []string{"fine", key})} {
			if !errors.Is(err, oss.ErrInvalid) || errors.Is(err, oss.ErrUnsettled) {
				t.Errorf("key %.10q, call %d: %v", key, i, err)
			}
		}
	}
	if _, err := b.Append(t.Context(), "k", -1, nil); !errors.Is(err, oss.ErrInvalid) {
		t.Errorf("position -1: %v", err)
	}
	if _, err := b.List(t.Context(), oss.ListOptions{Max: 1001}); !errors.Is(err, oss.ErrInvalid) {
		t.Errorf("max 1001: %v", err)
	}
	if hits.Load() != 0 {
		t.Errorf("%d requests", hits.Load())
	}
}

func TestBucketNames(t *testing.T) {
	t.Parallel()
	client, err := oss.New(oss.Config{Region: "cn-hangzhou", Endpoint: "http://127.0.0.1:1", Credentials: static})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "ab", "../x", "Upper", "a_b", "-ab", "ab-", "a/b", strings.Repeat("a", 64)} {
		if _, err := client.Bucket(name).Info(t.Context()); !errors.Is(err, oss.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
