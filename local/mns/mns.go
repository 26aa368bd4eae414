// Package mns is the stand-in's MNS (now called SMQ), API version 2015-06-06:
// queues, messages, topics, subscriptions and the deliveries of published
// messages, spoken over HTTP as the official SDKs in any language speak it.
//
// It checks signatures, permissions, digests and limits, and answers with the
// service's own codes. A message that was accepted is never lost: it survives a
// restart, and so does a delivery that is still to be made. Delivery is at
// least once, and a message is handed to one receiver at a time while its
// visibility lasts.
//
// Not here: mail and SMS endpoints, dead letter queues (which this version of
// the API can't set), request rate limits, and the push back-off of an endpoint
// that keeps failing.
package mns

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"ecs-image-export/local/identity"
)

// apiVersion is the only version that the service speaks.
const apiVersion = "2015-06-06"

// Config is what a Service needs. Dir and Identities are required.
type Config struct {
	// Dir holds the service's files; it is made if missing.
	Dir string
	// AccountID and Region stand in resource names and endpoints.
	// Default: 1234567890123456 and cn-hangzhou.
	AccountID string
	Region    string
	// Identities finds the callers.
	Identities identity.Source
	// Speed divides delays, visibility timeouts, retention and the waits between
	// delivery attempts, and nothing else. Default: 1.
	Speed float64
	// URL is where subscribers reach this service, such as
	// http://127.0.0.1:9083; pushed messages point there for the certificate.
	// Blank: the address of the most recent request.
	URL string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Service is the handler of one region. Use Open to make one.
type Service struct {
	accountID  string
	region     string
	identities identity.Source
	speed      float64
	now        func() time.Time

	db *bolt.DB
	// signer is read or made when the first message is pushed: making a key
	// takes longer than all the rest of Open.
	signer func() (*signer, error)
	gates  gates
	url    string
	seen   atomic.Value // string: base address of the most recent request

	push *http.Client

	mu        sync.Mutex
	functions map[subscriptionKey]FunctionSubscription
	couriers  map[subscriptionKey]*courier
	closed    bool
	ctx       context.Context // ends at Close
	cancel    context.CancelFunc
	active    sync.WaitGroup // requests and couriers
}

// Open opens the service on the state in cfg.Dir and resumes the deliveries
// that are pending there.
func Open(cfg Config) (*Service, error) {
	if cfg.Dir == "" || cfg.Identities == nil {
		return nil, errors.New("open mns: Dir and Identities are required")
	}
	if cfg.AccountID == "" {
		cfg.AccountID = "1234567890123456"
	}
	if cfg.Region == "" {
		cfg.Region = "cn-hangzhou"
	}
	if cfg.Speed <= 0 {
		cfg.Speed = 1
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("open mns: %w", err)
	}
	s := &Service{
		accountID:  cfg.AccountID,
		region:     cfg.Region,
		identities: cfg.Identities,
		speed:      cfg.Speed,
		now:        cfg.Now,
		url:        cfg.URL,
		push:       pushClient(),
		functions:  map[subscriptionKey]FunctionSubscription{},
		couriers:   map[subscriptionKey]*courier{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.signer = sync.OnceValues(func() (*signer, error) { return signingCertificate(cfg.Dir) })
	var err error
	if s.db, err = openStore(filepath.Join(cfg.Dir, "mns.db")); err != nil {
		return nil, fmt.Errorf("open mns: %w", err)
	}
	if err := s.resume(); err != nil {
		s.db.Close()
		return nil, fmt.Errorf("open mns: resume deliveries: %w", err)
	}
	return s, nil
}

// Close ends waiting polls and running deliveries at once and closes the files.
// A delivery that it interrupts is made again after the next Open.
func (s *Service) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.active.Wait()
	s.push.CloseIdleConnections()
	return s.db.Close()
}

// enter counts a request or a courier in, unless the service is closed.
func (s *Service) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active.Add(1)
	return true
}

// millis is the service's time: milliseconds since 1970, as on the wire.
func (s *Service) millis() int64 { return s.now().UnixMilli() }

// scaled is what a number of seconds lasts here, in milliseconds; it is never
// zero unless seconds is.
func (s *Service) scaled(seconds int64) int64 {
	if seconds <= 0 {
		return 0
	}
	return max(1, int64(float64(seconds)*1000/s.speed))
}
