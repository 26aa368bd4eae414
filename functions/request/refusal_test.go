package main

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecs-image-export/local/cloud"

	sdk "github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// lone is an instance whose cloud is out of reach, for calls that need none.
func lone(t *testing.T) *instance {
	t.Helper()
	c := validConfig()
	h, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return &instance{handler: h}
}

// TestBadOrders is the table of orders that are refused: what the answer is, which
// fields it names, and that nothing was recorded or submitted.
func TestBadOrders(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1, cloud.Options{Speed: 1000})
	bucketElsewhere(t, b)
	b.role = b.administrator // the deployed role may not look at the buckets that are wrong
	api := b.instance(t)
	image := b.images[0]
	unknown := "m-bp1000000000000000xx"
	big := `{"imageId":"` + image + `","prefix":"` + strings.Repeat("a", maxBody) + `"}`
	exact := `{"imageId":"M"}`
	exact += strings.Repeat(" ", maxBody-len(exact))

	tests := []struct {
		name, body string
		headers    []string
		status     int
		code       string
		locations  []string
		says       string // in the message about the first location
	}{
		{"malformed JSON", `{"imageId": "m-1",`, nil, 400, codeMalformed, []string{"body"}, "line 1, column 18"},
		{"malformed on the third line", "{\n\"imageId\":\n x}", nil, 400, codeMalformed, []string{"body"}, "line 3, column 2"},
		{"two documents", `{"imageId":"` + image + `"}{}`, nil, 400, codeMalformed, []string{"body"}, "JSON"},
		{"not UTF-8", "{\"imageId\":\"m-\xff\"}", nil, 400, codeMalformed, []string{"body"}, "UTF-8"},
		{"a byte order mark", "\ufeff" + order("imageId", image), nil, 400, codeMalformed, []string{"body"}, "without a byte order mark"},
		{"UTF-16", "\xff\xfe{\x00}\x00", nil, 400, codeMalformed, []string{"body"}, "UTF-8"},
		{"a number that nothing holds", `{"imageId":1e999}`, nil, 400, codeMalformed, []string{"body"}, "1e999"},
		{"a field twice", `{"imageId":"` + unknown + `","image\u0049d":"` + image + `"}`, nil, 422, codeInvalid, []string{"body.imageId"}, "send it once"},
		{"a field of no name twice", `{"":1,"":2}`, nil, 422, codeInvalid, []string{"body."}, "send it once"},
		{"no body", "", nil, 400, codeMalformed, []string{"body"}, "required"},
		{"null", "null", nil, 422, codeInvalid, []string{"body"}, "object"},
		{"an array", "[]", nil, 422, codeInvalid, []string{"body"}, "object"},
		{"no image", `{}`, nil, 422, codeInvalid, []string{"body.imageId"}, "required"},
		{"unknown field", order("imageId", image, "imageID", "x"), nil, 422, codeInvalid, []string{"body.imageID"}, "not a known field"},
		{"field in other letters", order("ImageId", image), nil, 422, codeInvalid, []string{"body.imageId", "body.ImageId"}, "required"},
		{"wrong type", `{"imageId":"` + image + `","prefix":7}`, nil, 422, codeInvalid, []string{"body.prefix"}, "string"},
		{"image is null", `{"imageId":null}`, nil, 422, codeInvalid, []string{"body.imageId"}, "string"},
		{"no image id", order("imageId", "ubuntu_22_04"), nil, 422, codeInvalid, []string{"body.imageId"}, "Image ubuntu_22_04 does not exist"},
		{"unknown image", order("imageId", unknown), nil, 422, codeInvalid, []string{"body.imageId"}, "does not exist in cn-hangzhou"},
		{"prefix with a hyphen", order("imageId", image, "prefix", "a-b"), nil, 422, codeInvalid, []string{"body.prefix"}, "letters and digits"},
		{"prefix with an umlaut", order("imageId", image, "prefix", "ä"), nil, 422, codeInvalid, []string{"body.prefix"}, "letters and digits"},
		{"prefix with a line break", order("imageId", image, "prefix", "a\n"), nil, 422, codeInvalid, []string{"body.prefix"}, "letters and digits"},
		{"prefix of 18", order("imageId", image, "prefix", strings.Repeat("a", 18)), nil, 422, codeInvalid, []string{"body.prefix"}, "more than 17"},
		{"unknown format", order("imageId", image, "format", "iso"), nil, 422, codeInvalid, []string{"body.format"}, "raw, vhd, qcow2, vdi, vmdk"},
		{"impossible role", order("imageId", image, "roleName", "a b"), nil, 422, codeInvalid, []string{"body.roleName"}, `"a b" is no name of a role`},
		{"a bucket that is not ours", order("imageId", image, "bucket", "somebody-elses"), nil, 422, codeInvalid, []string{"body.bucket"}, "Use one of: image-exports"},
		{"a bucket that does not exist", order("imageId", image, "bucket", "no-such-bucket"), nil, 422, codeInvalid, []string{"body.bucket"}, "Create it"},
		{"a bucket elsewhere", order("imageId", image, "bucket", "bucket-elsewhere"), nil, 422, codeInvalid, []string{"body.bucket"}, "Use a bucket"},
		{"all at once", `{"imageId":"` + unknown + `","bucket":"no-such-bucket","prefix":"_","format":"x","roleName":[],"more":1}`, nil, 422, codeInvalid,
			[]string{"body.roleName", "body.more", "body.imageId", "body.format", "body.prefix", "body.bucket"}, "string"},
		{"too large", big, nil, 413, codeTooLarge, []string{"body"}, "65536"},
		{"as large as possible", exact, nil, 422, codeInvalid, []string{"body.imageId"}, "Image M does not exist"},
		{"type in other letters", order("imageId", unknown), []string{"Content-Type", `Application/JSON; charset="UTF-8"`}, 422, codeInvalid, []string{"body.imageId"}, "does not exist"},
		{"a form", "imageId=m-1", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, codeMediaType, []string{"header.Content-Type"}, "application/json"},
		{"no media type", order("imageId", image), []string{"Content-Type", ";"}, 415, codeMediaType, []string{"header.Content-Type"}, "application/json"},
		{"compressed", order("imageId", image), []string{"content-encoding", "gzip"}, 415, codeMediaType, []string{"header.Content-Encoding"}, "left out"},
		{"no token", order("imageId", image), []string{"Authorization", ""}, 401, codeUnauthorized, []string{"header.Authorization"}, "missing"},
		{"wrong token", order("imageId", image), []string{"Authorization", "Bearer nope"}, 401, codeUnauthorized, []string{"header.Authorization"}, "no JWT"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := api.do(t, "POST", "/exports", test.body, test.headers...).problem(t)
			if p.Status != test.status || p.Code != test.code {
				t.Errorf("got %d %s, want %d %s: %+v", p.Status, p.Code, test.status, test.code, p)
			}
			var locations []string
			for _, f := range p.Errors {
				locations = append(locations, f.Location)
			}
			if d := cmp.Diff(test.locations, locations); d != "" {
				t.Errorf("locations (-want +got):\n%s%+v", d, p.Errors)
			}
			if len(p.Errors) > 0 && !strings.Contains(p.Errors[0].Message, test.says) {
				t.Errorf("message %q does not hold %q", p.Errors[0].Message, test.says)
			}
		})
	}
	// A body in base64 is read as any other.
	event := eventOf(t, "POST", "/exports", "x")
	event.Headers["authorization"] = "bearer " + token
	event.Body, event.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(order("imageId", unknown))), true
	if p := api.send(t, event).problem(t); p.Status != 422 {
		t.Errorf("order in base64: %+v", p)
	}
	event.Body = "%%%"
	if p := api.send(t, event).problem(t); p.Status != 400 {
		t.Errorf("broken base64: %+v", p)
	}

	if ids := b.recorded(t); len(ids) != 0 {
		t.Errorf("recorded: %v", ids)
	}
	if n := b.count("ecs ExportImage"); n != 0 {
		t.Errorf("ExportImage was called %d times", n)
	}
	if n := b.count("mns"); n > 10 { // the set-up's
		t.Errorf("MNS was called %d times", n)
	}
}

func bucketElsewhere(t *testing.T, b *bench) {
	t.Helper()
	e := b.environment
	client, err := sdk.New(e["OSS_ENDPOINT"], e["ACCESS_KEY_ID"], e["ACCESS_KEY_SECRET"], sdk.AuthVersion(sdk.AuthV4), sdk.Region(e["REGION"]))
	if err != nil {
		t.Fatal(err)
	}
	err = client.CreateBucketXml("bucket-elsewhere", `<CreateBucketConfiguration><LocationConstraint>oss-cn-beijing</LocationConstraint></CreateBucketConfiguration>`)
	if err != nil {
		t.Fatal(err)
	}
}

// TestRefusedPaths is the table of what every path refuses.
func TestRefusedPaths(t *testing.T) {
	t.Parallel()
	api := lone(t)
	tests := []struct {
		name, method, target string
		headers              []string
		status               int
		header, value        string
	}{
		{"unknown path", "GET", "/export", nil, 404, "", ""},
		{"the root", "GET", "/", nil, 404, "", ""},
		{"slash at the end", "GET", "/exports/", nil, 404, "", ""},
		{"two slashes", "GET", "//exports", nil, 404, "", ""},
		{"dots", "GET", "/exports/../healthz", nil, 404, "", ""},
		{"unknown path without a token", "GET", "/nope", []string{"Authorization", ""}, 401, "Www-Authenticate", `Bearer realm="ecs-image-export"`},
		{"method", "DELETE", "/exports", nil, 405, "Allow", "GET, HEAD, POST"},
		{"method of a page", "POST", "/healthz", nil, 405, "Allow", "GET, HEAD"},
		{"method of the document", "PUT", "/openapi.json", nil, 405, "Allow", "GET, HEAD"},
		{"no id", "GET", "/exports/latest", nil, 404, "", ""},
		{"escaped slash in the id", "GET", "/exports/a%2Fb", nil, 404, "", ""},
		{"id of a manifest", "GET", "/exports/x/manifest", nil, 404, "", ""},
		{"id of a disk", "GET", "/exports/x/disks/xvda/download", nil, 404, "", ""},
		{"token", "GET", "/exports", []string{"Authorization", "Bearer x"}, 401, "Www-Authenticate", `Bearer realm="ecs-image-export", error="invalid_token", error_description="It is no JWT that is signed with RS256, ES256 or EdDSA"`},
		{"empty token", "GET", "/exports", []string{"Authorization", "Bearer"}, 401, "Www-Authenticate", `Bearer realm="ecs-image-export", error="invalid_token", error_description="It is no JWT that is signed with RS256, ES256 or EdDSA"`},
		{"other scheme", "GET", "/exports", []string{"Authorization", "Basic eDp5"}, 401, "Www-Authenticate", `Bearer realm="ecs-image-export"`},
		{"token of another issuer", "GET", "/exports", []string{"Authorization", "Bearer " + issuer.token(with(map[string]any{"iss": "x"}))}, 401, "Cache-Control", "no-store"},
		{"two tokens", "GET", "/exports", []string{"Authorization", "Bearer " + token + ", Bearer " + token}, 401, "Cache-Control", "no-store"},
		{"token without the scope", "GET", "/exports", []string{"Authorization", "Bearer " + scoped("exports:write")}, 403, "Www-Authenticate", `Bearer realm="ecs-image-export", error="insufficient_scope", error_description="The token lacks the scope exports:read", scope="exports:read"`},
		{"page size", "GET", "/exports?pageSize=101", nil, 422, "", ""},
		{"page size in words", "GET", "/exports?pageSize=ten", nil, 422, "", ""},
		{"page size twice", "GET", "/exports?pageSize=1&pageSize=2", nil, 422, "", ""},
		{"state", "GET", "/exports?state=done", nil, 422, "", ""},
		{"image", "GET", "/exports?imageId=m-A/..", nil, 422, "", ""},
		{"unknown parameter", "GET", "/exports?sate=failed", nil, 422, "", ""},
		{"page token", "GET", "/exports?pageToken=zzz", nil, 400, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := api.do(t, test.method, test.target, "", test.headers...)
			p := a.problem(t)
			if p.Status != test.status {
				t.Errorf("got %d, want %d: %+v", p.Status, test.status, p)
			}
			if test.header != "" && a.header[test.header] != test.value {
				t.Errorf("%s: got %q, want %q", test.header, a.header[test.header], test.value)
			}
			if strings.HasPrefix(test.target, "/exports?") && test.status != 401 && (len(p.Errors) != 1 || !strings.HasPrefix(p.Errors[0].Location, "query.")) {
				t.Errorf("the problem does not name the parameter: %+v", p.Errors)
			}
		})
	}
}

// TestPanic wants an answer without what only the log should show.
func TestPanic(t *testing.T) {
	t.Parallel()
	h := (&server{}).frame(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret") }))
	a := (&instance{handler: adapt(h)}).do(t, "GET", "/", "")
	if p := a.problem(t); p.Status != 500 || strings.Contains(a.body, "secret") {
		t.Errorf("%s", a.body)
	}
}
