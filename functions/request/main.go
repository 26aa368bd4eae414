// Command request is the function behind the HTTP trigger: it takes orders for
// exports, submits them, and tells how they are doing.
//
// POST /exports checks the order, records it and submits it; from the record on
// the export reaches an end whatever becomes of this function. Everything else
// only reads. GET /openapi.json describes all of it and is made from this code.
package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
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
	// JWTIssuer makes the callers' tokens, for JWTAudience. Its public keys, a JWK
	// set, are at JWKSURL, or are JWKS.
	JWTIssuer   string `env:"JWT_ISSUER,notEmpty"`
	JWTAudience string `env:"JWT_AUDIENCE,notEmpty"`
	JWKSURL     string `env:"JWKS_URL"`
	JWKS        string `env:"JWKS"`
	// IdempotencyExpiry is how long an Idempotency-Key stands for its export.
	IdempotencyExpiry time.Duration `env:"IDEMPOTENCY_EXPIRY" envDefault:"24h"`
	// CallerOpenExports is how many exports of one caller may be open at a time, over
	// all instances; CallerRequests how many calls it may make in a minute, of each
	// instance. 0: any number.
	CallerOpenExports int `env:"CALLER_OPEN_EXPORTS" envDefault:"0"`
	CallerRequests    int `env:"CALLER_REQUESTS_PER_MINUTE" envDefault:"0"`
	// ProgressInterval is the least time between two questions to ECS about the
	// progress of one export, over all instances of the function.
	ProgressInterval time.Duration `env:"PROGRESS_INTERVAL" envDefault:"5s"`
	RuleConfig
	RoleConfig
}

var roleARN = regexp.MustCompile(`^acs:ram::[0-9]+:role/[A-Za-z0-9.@-]{1,64}$`)

// maxProgressInterval is how long the records bucket keeps the claims that the
// interval rests on, by its lifecycle rule.
const maxProgressInterval = 24 * time.Hour

// Validate says what does not fit together.
func (c Config) Validate() error {
	problems := []error{c.Config.Validate()}
	if !roleARN.MatchString(c.DownloadRoleARN) {
		problems = append(problems, fmt.Errorf("DOWNLOAD_ROLE_ARN is %q: it must be like acs:ram::1234567890123456:role/name", c.DownloadRoleARN))
	}
	if _, ok := export.ParseFormat(c.DefaultFormat); !ok {
		problems = append(problems, fmt.Errorf("DEFAULT_FORMAT is %q: it must be one of %v", c.DefaultFormat, export.Formats))
	}
	problems = append(problems, c.RuleConfig.validate(), c.validateWatched())
	if !export.RoleName.MatchString(c.ExportRole) {
		problems = append(problems, fmt.Errorf("EXPORT_ROLE is %q: it must be a role's name, 1 to 64 letters, digits, full stops, hyphens and @", c.ExportRole))
	}
	if _, err := newVerifier(c); err != nil {
		problems = append(problems, err)
	}
	if c.IdempotencyExpiry <= 0 || c.IdempotencyExpiry > maxIdempotencyExpiry {
		problems = append(problems, fmt.Errorf("IDEMPOTENCY_EXPIRY is %v: it must be above zero and at most %v", c.IdempotencyExpiry, maxIdempotencyExpiry))
	}
	if c.CallerOpenExports < 0 || c.CallerOpenExports > maxCallerOpenExports {
		problems = append(problems, fmt.Errorf("CALLER_OPEN_EXPORTS is %d: it must be 0, for any number, or at most %d", c.CallerOpenExports, maxCallerOpenExports))
	}
	if c.CallerRequests < 0 {
		problems = append(problems, fmt.Errorf("CALLER_REQUESTS_PER_MINUTE is %d: it must be 0, for any number, or above", c.CallerRequests))
	}
	if c.ProgressInterval <= 0 || c.ProgressInterval > maxProgressInterval {
		problems = append(problems, fmt.Errorf("PROGRESS_INTERVAL is %v: it must be above zero and at most %v", c.ProgressInterval, maxProgressInterval))
	}
	return errors.Join(problems...)
}

// New builds the handler.
func New(_ context.Context, c Config) (function.Handler[events.HTTPRequest, events.HTTPResponse], error) {
	return build(c, function.Credentials)
}

func build(c Config, credentials rpc.Source) (function.Handler[events.HTTPRequest, events.HTTPResponse], error) {
	s, err := newServer(c, credentials)
	if err != nil {
		return nil, err
	}
	return adapt(s.handler()), nil
}

func newServer(c Config, credentials rpc.Source) (*server, error) {
	t, err := tracker.New(c.Config, credentials)
	if err != nil {
		return nil, err
	}
	roles, err := ram.New(ram.Config{Region: c.Region, RAMEndpoint: c.RAMEndpoint, STSEndpoint: c.STSEndpoint, Credentials: credentials})
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
	tokens, err := newVerifier(c)
	if err != nil {
		return nil, err
	}
	prices, err := c.prices()
	if err != nil {
		return nil, err
	}
	return &server{config: c, tracker: t, roles: roles, prices: prices, downloads: downloads, tokens: tokens, rate: &rate{limit: c.CallerRequests, now: t.Now}}, nil
}
