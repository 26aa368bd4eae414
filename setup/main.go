// Set-up makes what the functions stand on: the queue, the topic, the buckets with
// their lifecycle, and the roles of docs/policies with what they grant. What is
// there already stays, with its attributes put right; running it again changes
// nothing. It deletes nothing.
//
// It prints a line for each thing and ends with status 1 if anything could not be
// made. Everything is tried, so that one run shows every problem.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/caarlos0/env/v11"

	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
)

// Config comes from the environment. A blank endpoint means the real service; the
// names' defaults are those of s.yaml.
type Config struct {
	Region    string `env:"REGION,notEmpty"`
	AccountID string `env:"ACCOUNT_ID,notEmpty"`

	ExportBucket  string   `env:"EXPORT_BUCKET" envDefault:"image-exports"`
	ExportBuckets []string `env:"EXPORT_BUCKETS"` // comma separated, in place of EXPORT_BUCKET
	RecordsBucket string   `env:"RECORDS_BUCKET" envDefault:"image-export-records"`
	TaskQueue     string   `env:"TASK_QUEUE" envDefault:"image-export-tasks"`
	EventTopic    string   `env:"EVENT_TOPIC" envDefault:"image-export-events"`
	ExportRole    string   `env:"EXPORT_ROLE" envDefault:"AliyunECSImageExportDefaultRole"`
	DownloadRole  string   `env:"DOWNLOAD_ROLE" envDefault:"ecs-image-export-download"`
	// AllowRoleSetup lets the request function make the export role.
	AllowRoleSetup bool `env:"ALLOW_ROLE_SETUP" envDefault:"false"`

	OSSEndpoint string `env:"OSS_ENDPOINT"`
	MNSEndpoint string `env:"MNS_ENDPOINT"`
	RAMEndpoint string `env:"RAM_ENDPOINT"`

	// Policies is the folder of the roles.
	Policies string `env:"POLICIES" envDefault:"docs/policies"`

	AccessKeyID     string `env:"ALIBABA_CLOUD_ACCESS_KEY_ID,notEmpty"`
	AccessKeySecret string `env:"ALIBABA_CLOUD_ACCESS_KEY_SECRET,notEmpty"`
	SecurityToken   string `env:"ALIBABA_CLOUD_SECURITY_TOKEN"`
}

// decode reads an environment. The error has a line for each variable that is wrong.
func decode(environment map[string]string) (Config, error) {
	var cfg Config
	err := env.ParseWithOptions(&cfg, env.Options{Environment: environment})
	var all env.AggregateError
	if errors.As(err, &all) {
		err = errors.Join(all.Errors...)
	}
	if len(cfg.ExportBuckets) == 0 {
		cfg.ExportBuckets = []string{cfg.ExportBucket}
	}
	for _, b := range cfg.ExportBuckets {
		if b == cfg.RecordsBucket {
			err = errors.Join(err, fmt.Errorf("RECORDS_BUCKET: %s is an export bucket too", b))
		}
	}
	return cfg, err
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := decode(env.ToMap(os.Environ()))
	if err == nil {
		err = setUp(ctx, cfg, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// limit bounds the whole of it.
const limit = 5 * time.Minute

// setUp makes everything and writes a line for each thing.
func setUp(ctx context.Context, cfg Config, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	credentials := func(context.Context) (rpc.Credentials, error) {
		return rpc.Credentials{ID: cfg.AccessKeyID, Secret: cfg.AccessKeySecret, Token: cfg.SecurityToken}, nil
	}
	objects, e1 := oss.New(oss.Config{Region: cfg.Region, Endpoint: cfg.OSSEndpoint, Credentials: credentials})
	messages, e2 := mns.New(mns.Config{Region: cfg.Region, AccountID: cfg.AccountID, Endpoint: cfg.MNSEndpoint, Credentials: credentials})
	roles, e3 := ram.New(ram.Config{Region: cfg.Region, RAMEndpoint: cfg.RAMEndpoint, Credentials: credentials})
	wanted, e4 := loadRoles(cfg.Policies, cfg.values())
	if err := errors.Join(e1, e2, e3, e4); err != nil {
		return err
	}
	r := &report{out: out}
	r.messages(ctx, cfg, messages)
	r.buckets(ctx, cfg, objects)
	r.roles(ctx, wanted, roles)
	return errors.Join(r.problems...)
}

// report writes what was done and keeps what went wrong.
type report struct {
	out      io.Writer
	problems []error
}

func (r *report) line(kind, name, outcome string, err error) {
	if err != nil {
		r.problems = append(r.problems, fmt.Errorf("%s %s: %w", kind, name, err))
		outcome = "FAILED"
	}
	fmt.Fprintf(r.out, "%-13s %-14s %s\n", outcome, kind, name)
}

// The words for what was found to do.
const (
	made      = "made"
	unchanged = "already there"
	changed   = "changed"
)
