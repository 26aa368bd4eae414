// Package cloud puts the stand-in's services together: FC, OSS, MNS, ECS, RAM
// and STS, each on a loopback port of its own, with one account between them.
//
// It is born empty. SetUp runs the program that makes buckets, queue, topic and
// roles, and Deploy starts the functions of an s.yaml, as one would do on a new
// account.
package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/local/ecs"
	"ecs-image-export/local/faults"
	"ecs-image-export/local/fc"
	"ecs-image-export/local/issuer"
	"ecs-image-export/local/mns"
	"ecs-image-export/local/oss"
	"ecs-image-export/local/ram"
	"ecs-image-export/local/syaml"
)

// What the stand-in is unless told otherwise.
const (
	Region    = "cn-hangzhou"
	AccountID = "1234567890123456"

	ExportBucket  = "image-exports"
	RecordsBucket = "image-export-records"
	TaskQueue     = "image-export-tasks"
	EventTopic    = "image-export-events"

	// Two buckets that another account has, the second one shared with this account.
	ForeignBucket = "bucket-of-another-account"
	SharedBucket  = "bucket-shared-by-another-account"
	ForeignID     = "6543210987654321" // the account's id
)

// Options say how to start. The zero value of a field is its default.
type Options struct {
	// Listen is the address of FC; the other services take the ports above it.
	// Port 0, the default, finds free ones.
	Listen string
	// Dir holds the state of all services. Required.
	Dir string
	// Images is the folder of the images. Required.
	Images string
	// Speed divides timers, task durations, delays of messages and intervals of
	// functions. Default 1.
	Speed float64
	// Instances is how many instances a function may have. Default 20.
	Instances int
	// TaskPerGiB and TaskLeast are how long the export of a disk takes; see
	// ecs.Config.
	TaskPerGiB, TaskLeast time.Duration
	// Tasks is how many export tasks run at once. Default 2.
	Tasks int
	// FormatRegions are the regions that export to more formats than RAW; see
	// ecs.Config. By default the stand-in's is one.
	FormatRegions []string
	// ConcurrentQuota and WeeklyQuota are the account's quotas of export tasks;
	// see ecs.Config. Default: no limit.
	ConcurrentQuota, WeeklyQuota int
	// Wrap puts something in front of a service ("oss") and its faults, to count
	// or to break its calls.
	Wrap func(service string, h http.Handler) http.Handler
	// Log receives what a person should know. Default: nothing.
	Log io.Writer
}

// services in the order of their ports.
var services = []string{"fc", "oss", "mns", "ecs", "ram", "sts"}

// Cloud is a running stand-in.
type Cloud struct {
	options Options
	account account
	issuer  *issuer.Issuer
	token   string            // for the request function, with every scope
	address map[string]string // host:port by service
	servers []*http.Server
	gate    gate
	closers []func() error // in the order of opening
	faults  *faults.Table

	fc  atomic.Pointer[fc.Service]
	mns *mns.Service
	ram *ram.Service
}

// Start starts every service but FC, whose port answers 503 until Deploy.
func Start(o Options) (_ *Cloud, err error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	c := &Cloud{options: o, address: map[string]string{}, faults: faults.New()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	if c.account, err = loadAccount(filepath.Join(o.Dir, "account.json")); err != nil {
		return nil, err
	}
	if c.issuer, err = issuer.Open(IssuerFile(o.Dir)); err != nil {
		return nil, err
	}
	if c.token, err = c.issuer.Token("administrator", tokenLife, issuer.Scopes...); err != nil {
		return nil, err
	}
	listeners, err := listen(o.Listen)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, l := range listeners { // those that no server has taken
			if l != nil {
				l.Close()
			}
		}
	}()
	for i, name := range services {
		c.address[name] = listeners[i].Addr().String()
	}
	handlers, err := c.open()
	if err != nil {
		return nil, err
	}
	for i, name := range services {
		h := handlers[name]
		if s, ok := h.(faults.Service); ok {
			h = c.faults.Wrap(name, s)
		}
		if o.Wrap != nil {
			h = o.Wrap(name, h)
		}
		server := &http.Server{Handler: c.gate.guard(h), ReadHeaderTimeout: 30 * time.Second}
		c.servers = append(c.servers, server)
		go server.Serve(listeners[i])
		listeners[i] = nil
	}
	return c, nil
}

// listen binds a port for each service: the one given for the first and those
// above it for the others, or free ones.
func listen(address string) ([]net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen address: %w", err)
	}
	// MNS is reached as localhost; see mnsEndpoint.
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if host != "127.0.0.1" {
		return nil, fmt.Errorf("listen address %s: of the loopback addresses the stand-in listens on 127.0.0.1 alone, such as 127.0.0.1:9080", address)
	}
	first, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("listen address %s: %w", address, err)
	}
	listeners := make([]net.Listener, len(services))
	for i, name := range services {
		p := 0
		if first != 0 {
			p = first + i
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(p)))
		if err != nil {
			for _, l := range listeners[:i] {
				l.Close()
			}
			return nil, fmt.Errorf("%s: %w (choose another port with -listen)", name, err)
		}
		listeners[i] = l
	}
	return listeners, nil
}

// open opens the services, from those that others need to those that need them.
func (c *Cloud) open() (map[string]http.Handler, error) {
	o := c.options
	dir := func(name string) string { return filepath.Join(o.Dir, name) }

	rams, err := ram.Open(ram.Config{Dir: dir("ram"), AccountID: AccountID, Region: Region, Root: c.account.root(), Users: c.account.users()})
	if err != nil {
		return nil, fmt.Errorf("ram: %w", err)
	}
	c.ram = rams
	c.closers = append(c.closers, rams.Close)

	objects, err := oss.Open(oss.Config{Dir: dir("oss"), AccountID: AccountID, Region: Region, Identities: rams, Deliver: c.deliver, Speed: o.Speed,
		Foreign: []oss.Foreign{{Name: ForeignBucket, OwnerID: ForeignID}, {Name: SharedBucket, OwnerID: ForeignID, Shared: true}}})
	if err != nil {
		return nil, fmt.Errorf("oss: %w", err)
	}
	c.closers = append(c.closers, objects.Close)

	messages, err := mns.Open(mns.Config{Dir: dir("mns"), AccountID: AccountID, Region: Region, Identities: rams, Speed: o.Speed, URL: c.url("mns")})
	if err != nil {
		return nil, fmt.Errorf("mns: %w", err)
	}
	c.mns = messages
	c.closers = append(c.closers, messages.Close)

	images, err := ecs.Open(ecs.Config{
		Dir: dir("ecs"), Images: o.Images, AccountID: AccountID, Region: Region, Identities: rams, Roles: rams,
		Log: slog.New(slog.NewTextHandler(o.Log, nil)), OSSEndpoint: c.url("oss"), Speed: o.Speed, PerGiB: o.TaskPerGiB, Least: o.TaskLeast, Concurrent: o.Tasks, FormatRegions: o.FormatRegions,
		ConcurrentQuota: o.ConcurrentQuota, WeeklyQuota: o.WeeklyQuota,
	})
	if err != nil {
		return nil, fmt.Errorf("ecs: %w", err)
	}
	c.closers = append(c.closers, images.Close)

	return map[string]http.Handler{
		"fc": http.HandlerFunc(c.serveFC), "oss": objects, "mns": messages, "ecs": images, "ram": rams.RAM(), "sts": rams.STS(),
	}, nil
}

// keysPath is where the issuer of tokens publishes its keys, on the port of FC. It
// is no path of the API, which is served at the root of that port.
const keysPath = "/_local/keys"

// tokenLife is how long API_TOKEN is good for; go run ./local/token makes others.
const tokenLife = 30 * 24 * time.Hour

// IssuerFile is where a stand-in with this folder has the key that signs tokens.
func IssuerFile(dir string) string { return filepath.Join(dir, "issuer.json") }

// Faults are what the services fail with on purpose.
func (c *Cloud) Faults() *faults.Table { return c.faults }

func (c *Cloud) serveFC(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == keysPath {
		c.issuer.ServeHTTP(w, r)
		return
	}
	if r.URL.Path == faults.Path {
		c.faults.ServeHTTP(w, r)
		return
	}
	f := c.fc.Load()
	if f == nil {
		http.Error(w, "no functions are deployed yet", http.StatusServiceUnavailable)
		return
	}
	f.ServeHTTP(w, r)
}

// deliver hands object events to FC. OSS keeps them until somebody takes them,
// so those of a restart wait for Deploy.
func (c *Cloud) deliver(ctx context.Context, e events.ObjectEvent) error {
	f := c.fc.Load()
	if f == nil {
		return errors.New("no functions are deployed yet")
	}
	return f.OnObjectEvent(ctx, e)
}

// SetUp runs the set-up program against the stand-in, as the account's
// administrator. Its working folder is root, where it finds the policies.
func (c *Cloud) SetUp(ctx context.Context, program, root string) error {
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = root
	// Only what the program is told here: a real account's credentials in the
	// environment must not meet it.
	cmd.Env = append(c.Environment(), "EXPORT_BUCKETS="+ExportBucket,
		"ALIBABA_CLOUD_ACCESS_KEY_ID="+c.account.AccessKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET="+c.account.AccessKeySecret)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("set up: %w\n%s", err, out)
	}
	return nil
}

// Deploy starts the functions of root's s.yaml.
func (c *Cloud) Deploy(root string) error {
	project, err := syaml.Load(filepath.Join(root, "s.yaml"), syaml.Options{Env: c.deployment, AccountID: AccountID, Speed: c.options.Speed})
	if err != nil {
		return err
	}
	f, err := fc.Open(fc.Config{
		Dir: filepath.Join(c.options.Dir, "fc"), Root: root, Project: project, AccountID: AccountID, Region: Region,
		Identities: c.ram, Roles: c.ram, Faults: c.faults, Speed: c.options.Speed, MaxInstances: c.options.Instances, Log: c.options.Log,
	})
	if err != nil {
		return fmt.Errorf("fc: %w", err)
	}
	c.fc.Store(f)
	for _, t := range f.TopicTriggers() {
		err := c.mns.SubscribeFunction(t.Topic, mns.FunctionSubscription{
			Name: t.Name, Tag: t.FilterTag, Format: t.ContentFormat, Strategy: t.Strategy, Deliver: t.Deliver,
		})
		if err != nil {
			return fmt.Errorf("fc: trigger %s of %s: %w", t.Name, t.Function, err)
		}
	}
	return nil
}

// deployment is what ${env(…)} in s.yaml finds: the endpoints of the stand-in.
func (c *Cloud) deployment(name string) (string, bool) {
	v, ok := map[string]string{
		"REGION":              Region,
		"ACCOUNT_ID":          AccountID,
		"OSS_ENDPOINT":        c.url("oss"),
		"OSS_PUBLIC_ENDPOINT": c.url("oss"),
		"MNS_ENDPOINT":        c.mnsEndpoint(),
		"ECS_ENDPOINT":        c.url("ecs"),
		"RAM_ENDPOINT":        c.url("ram"),
		"STS_ENDPOINT":        c.url("sts"),
		"JWT_ISSUER":          issuer.Name,
		"JWT_AUDIENCE":        issuer.Audience,
		"JWKS_URL":            c.url("fc") + keysPath,
	}[name]
	return v, ok
}

func (c *Cloud) url(service string) string { return "http://" + c.address[service] }

// mnsEndpoint has the four dots that the Go SDK takes an endpoint apart by.
func (c *Cloud) mnsEndpoint() string {
	_, port, _ := net.SplitHostPort(c.address["mns"])
	return fmt.Sprintf("http://localhost:%s/%s.mns.%s.aliyuncs.com", port, AccountID, Region)
}

// Environment is what clients need, as NAME=value.
func (c *Cloud) Environment() []string {
	return []string{
		"API_URL=" + c.url("fc"),
		"API_TOKEN=" + c.token,
		"OSS_ENDPOINT=" + c.url("oss"),
		"MNS_ENDPOINT=" + c.mnsEndpoint(),
		"MNS_URL=" + c.url("mns"),
		"ECS_ENDPOINT=" + c.url("ecs"),
		"RAM_ENDPOINT=" + c.url("ram"),
		"STS_ENDPOINT=" + c.url("sts"),
		"REGION=" + Region,
		"ACCOUNT_ID=" + AccountID,
		"ACCESS_KEY_ID=" + c.account.AccessKeyID,
		"ACCESS_KEY_SECRET=" + c.account.AccessKeySecret,
		"EXPORT_BUCKET=" + ExportBucket,
		"RECORDS_BUCKET=" + RecordsBucket,
		"TASK_QUEUE=" + TaskQueue,
		"EVENT_TOPIC=" + EventTopic,
	}
}

// EnvironmentFile is where a stand-in with this folder writes its environment.
func EnvironmentFile(dir string) string { return filepath.Join(dir, "endpoints.env") }

// WriteEnvironment writes the environment to a file of Dir, endpoints.env, when
// everything answers.
func (c *Cloud) WriteEnvironment() error {
	path := EnvironmentFile(c.options.Dir)
	var text []byte
	for _, line := range c.Environment() {
		text = append(text, line+"\n"...)
	}
	return writeFile(path, text)
}

// Close ends the functions, then the services.
func (c *Cloud) Close() error {
	os.Remove(EnvironmentFile(c.options.Dir))
	c.faults.Close() // what is delayed would outlive the services
	var errs []error
	if f := c.fc.Load(); f != nil {
		errs = append(errs, f.Close())
	}
	for _, s := range c.servers {
		errs = append(errs, s.Close())
	}
	c.gate.shut()
	for i := len(c.closers) - 1; i >= 0; i-- {
		errs = append(errs, c.closers[i]())
	}
	c.closers = nil
	return errors.Join(errs...)
}
