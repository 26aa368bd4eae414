package tracker

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"time"

	"ecs-image-export/shared/ecs"
	"ecs-image-export/shared/export"
	"ecs-image-export/shared/mns"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/record"
	"ecs-image-export/shared/rpc"
)

// Config is what every function needs to follow exports. A blank endpoint means
// the real service in Region.
type Config struct {
	Region        string   `env:"REGION,notEmpty"`
	AccountID     string   `env:"ACCOUNT_ID,notEmpty"`
	RecordsBucket string   `env:"RECORDS_BUCKET,notEmpty"`
	ExportBuckets []string `env:"EXPORT_BUCKETS,notEmpty"` // the first is the default
	TaskQueue     string   `env:"TASK_QUEUE,notEmpty"`
	EventTopic    string   `env:"EVENT_TOPIC,notEmpty"`

	OSSEndpoint string `env:"OSS_ENDPOINT"`
	MNSEndpoint string `env:"MNS_ENDPOINT"`
	ECSEndpoint string `env:"ECS_ENDPOINT"`

	LookMin       time.Duration `env:"LOOK_MIN" envDefault:"15s"`
	LookMax       time.Duration `env:"LOOK_MAX" envDefault:"5m"`
	VanishedAfter time.Duration `env:"VANISHED_AFTER" envDefault:"10m"`
	ArrivalGrace  time.Duration `env:"ARRIVAL_GRACE" envDefault:"30m"`
	MaxAge        time.Duration `env:"MAX_AGE" envDefault:"72h"`
	SubmitTimeout time.Duration `env:"SUBMIT_TIMEOUT" envDefault:"15s"`
	ClockSkew     time.Duration `env:"CLOCK_SKEW" envDefault:"60s"`
	CancelGrace   time.Duration `env:"CANCEL_GRACE" envDefault:"150s"`
	QueueWait     time.Duration `env:"QUEUE_WAIT" envDefault:"20m"`
	MaxQueued     time.Duration `env:"MAX_QUEUED" envDefault:"336h"`
	TasksAtOnce   int           `env:"TASKS_AT_ONCE" envDefault:"0"`
}

// How long exports can be at most. The lifecycle rules that the set-up gives the
// buckets leave what an export stands on for longer.
const (
	LongestTask = 7 * 24 * time.Hour  // from when it leaves the queue; the uploads of the disks
	LongestOpen = 28 * 24 * time.Hour // from its order to its end; its caller's place
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$`)

// Validate says what does not fit together.
func (c Config) Validate() error {
	problems := []error{validateQueue(c)}
	for name, d := range map[string]time.Duration{
		"LOOK_MIN": c.LookMin, "VANISHED_AFTER": c.VanishedAfter, "ARRIVAL_GRACE": c.ArrivalGrace,
		"MAX_AGE": c.MaxAge, "SUBMIT_TIMEOUT": c.SubmitTimeout, "CLOCK_SKEW": c.ClockSkew,
		"CANCEL_GRACE": c.CancelGrace,
	} {
		if d <= 0 {
			problems = append(problems, fmt.Errorf("%s is %v: it must be above zero", name, d))
		}
	}
	for _, name := range append([]string{c.RecordsBucket}, c.ExportBuckets...) {
		// An empty name is reported as missing.
		if name != "" && !bucketName.MatchString(name) {
			problems = append(problems, fmt.Errorf("%q is no name of a bucket: 3 to 63 lower-case letters, digits and hyphens; EXPORT_BUCKETS has commas and no spaces between them", name))
		}
	}
	if c.MaxAge > LongestTask {
		problems = append(problems, fmt.Errorf(
			"MAX_AGE is %v: it must be at most %v, because the lifecycle rule of the export buckets ends uploads that are older", c.MaxAge, LongestTask))
	}
	if most := LongestOpen - 2*min(c.MaxAge, LongestTask); c.MaxQueued > most {
		problems = append(problems, fmt.Errorf(
			"MAX_QUEUED is %v: it must be at most %v, which with twice MAX_AGE (once more for a cancel) makes %v: the records bucket does not keep what is claimed for an open export for much longer",
			c.MaxQueued, most, LongestOpen))
	}
	if c.LookMax < c.LookMin {
		problems = append(problems, fmt.Errorf("LOOK_MAX is %v: it must not be below LOOK_MIN, %v", c.LookMax, c.LookMin))
	}
	return errors.Join(problems...)
}

// Policy is the part of the configuration that decisions are made by.
func (c Config) Policy() export.Policy {
	return export.Policy{
		LookMin: c.LookMin, LookMax: c.LookMax, SubmitTimeout: c.SubmitTimeout, ClockSkew: c.ClockSkew,
		VanishedAfter: c.VanishedAfter, ArrivalGrace: c.ArrivalGrace, MaxAge: c.MaxAge, CancelGrace: c.CancelGrace,
		QueueWait: c.QueueWait, MaxQueued: c.MaxQueued, Tasks: c.TasksAtOnce,
	}
}

// New builds a tracker and its clients. It makes no request.
func New(c Config, credentials rpc.Source) (*Tracker, error) {
	connections := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 32,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}
	objects, err := oss.New(oss.Config{Region: c.Region, Endpoint: c.OSSEndpoint, Credentials: credentials, Transport: connections})
	if err != nil {
		return nil, err
	}
	messages, err := mns.New(mns.Config{Region: c.Region, AccountID: c.AccountID, Endpoint: c.MNSEndpoint, Credentials: credentials, Transport: connections})
	if err != nil {
		return nil, err
	}
	images, err := ecs.New(ecs.Config{Region: c.Region, Endpoint: c.ECSEndpoint, Credentials: credentials})
	if err != nil {
		return nil, err
	}
	return &Tracker{
		connections: connections,

		Records:   record.New(objects.Bucket(c.RecordsBucket), time.Now),
		OSS:       objects,
		ECS:       images,
		Tasks:     messages.Queue(c.TaskQueue),
		Events:    messages.Topic(c.EventTopic),
		Policy:    c.Policy(),
		AccountID: c.AccountID,
		Region:    c.Region,
		Now:       time.Now,
	}, nil
}
