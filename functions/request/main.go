// Command request is the function behind the HTTP trigger: it takes orders for
// exports, submits them, and tells how they are doing.
//
// POST /exports checks the order, records it and submits it; from the record on
// the export reaches an end whatever becomes of this function. Everything else
// only reads. GET /openapi.json describes all of it and is made from this code.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
	"ecs-image-export/shared/tracker"
)

func main() { function.Main(New) }

// Config is the function's environment. A blank endpoint means the real service
// in Region.
type Config struct {
	tracker.Config
	// OSSPublicEndpoint is where download links point, also when the function
	// itself uses an internal endpoint.
	OSSPublicEndpoint string `env:"OSS_PUBLIC_ENDPOINT"`
	STSEndpoint       string `env:"STS_ENDPOINT"`
	// DownloadRoleARN is the role that download links are signed as. It may read
	// the export buckets and do nothing else.
	DownloadRoleARN string `env:"DOWNLOAD_ROLE_ARN,notEmpty"`
	// DefaultFormat and ExportRole are for orders that don't name theirs.
	DefaultFormat string `env:"DEFAULT_FORMAT" envDefault:"raw"`
	ExportRole    string `env:"EXPORT_ROLE" envDefault:"AliyunECSImageExportDefaultRole"`
	// TokenDigests are the SHA-256 of the accepted bearer tokens, in hex.
	TokenDigests []string `env:"API_TOKENS_SHA256,notEmpty"`
	// ProgressInterval is the least time between two questions to ECS about the
	// progress of one export, over all instances of the function.
	ProgressInterval time.Duration `env:"PROGRESS_INTERVAL" envDefault:"5s"`
}

var (
	roleARN  = regexp.MustCompile(`^acs:ram::[0-9]+:role/[A-Za-z0-9.@-]{1,64}$`)
	roleName = regexp.MustCompile(`^[A-Za-z0-9.@-]{1,64}$`)
)

// Validate says what does not fit together.
func (c Config) Validate() error {
	problems := []error{c.Config.Validate()}
	if !roleARN.MatchString(c.DownloadRoleARN) {
		problems = append(problems, fmt.Errorf("DOWNLOAD_ROLE_ARN is %q: it must be like acs:ram::1234567890123456:role/name", c.DownloadRoleARN))
	}
	if _, ok := parseFormat(c.DefaultFormat); !ok {
		problems = append(problems, fmt.Errorf("DEFAULT_FORMAT is %q: it must be one of %s", c.DefaultFormat, formatList()))
	}
	if !roleName.MatchString(c.ExportRole) {
		problems = append(problems, fmt.Errorf("EXPORT_ROLE is %q: it must be a role's name, 1 to 64 letters, digits, full stops, hyphens and @", c.ExportRole))
	}
	if _, err := parseDigests(c.TokenDigests); err != nil {
		problems = append(problems, err)
	}
	if c.ProgressInterval <= 0 {
		problems = append(problems, fmt.Errorf("PROGRESS_INTERVAL is %v: it must be above zero", c.ProgressInterval))
	}
	return errors.Join(problems...)
}

// parseDigests never repeats what it was given: it may be a token that somebody
// forgot to hash.
func parseDigests(list []string) ([]digest, error) {
	var digests []digest
	var problems []error
	for i, s := range list {
		b, err := hex.DecodeString(strings.TrimSpace(s))
		if err != nil || len(b) != len(digest{}) {
			problems = append(problems, fmt.Errorf("API_TOKENS_SHA256: entry %d must be 64 hexadecimal digits, as sha256sum prints them", i+1))
			continue
		}
		digests = append(digests, digest(b))
	}
	return digests, errors.Join(problems...)
}

// parseFormat takes a format in upper or lower case.
func parseFormat(s string) (export.Format, bool) {
	for _, f := range export.Formats {
		if strings.EqualFold(string(f), s) {
			return f, true
		}
	}
	return "", false
}

func formatList() string {
	names := make([]string, len(export.Formats))
	for i, f := range export.Formats {
		names[i] = string(f)
	}
	return strings.Join(names, ", ")
}

// New builds the handler.
func New(_ context.Context, c Config) (function.Handler[events.HTTPRequest, events.HTTPResponse], error) {
	return build(c, function.Credentials)
}

func build(c Config, credentials rpc.Source) (function.Handler[events.HTTPRequest, events.HTTPResponse], error) {
	t, err := tracker.New(c.Config, credentials)
	if err != nil {
		return nil, err
	}
	roles, err := ram.New(ram.Config{Region: c.Region, STSEndpoint: c.STSEndpoint, Credentials: credentials})
	if err != nil {
		return nil, err
	}
	links := &session{now: t.Now, take: func(ctx context.Context) (rpc.Credentials, error) {
		return roles.AssumeRole(ctx, c.DownloadRoleARN, sessionName, sessionTime)
	}}
	downloads, err := oss.New(oss.Config{
		Region: c.Region, Endpoint: c.OSSEndpoint, PublicEndpoint: c.OSSPublicEndpoint, Credentials: links.credentials,
	})
	if err != nil {
		return nil, err
	}
	tokens, err := parseDigests(c.TokenDigests)
	if err != nil {
		return nil, err
	}
	s := &server{config: c, tracker: t, downloads: downloads, tokens: tokens}
	return adapt(s.handler()), nil
}
