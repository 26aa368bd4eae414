// Package oss is the stand-in's Object Storage Service: one http.Handler that
// speaks the OSS REST protocol strictly enough that official SDKs take it for
// the cloud.
//
// Objects are strongly consistent and every operation is atomic: a process that
// is killed at any point leaves each object as it was before or after a
// request, never in between. Content lies in files that are named by a random
// id, never by the key; everything else is in one bbolt file beside them.
//
// What is not built answers 501 NotImplemented and names the operation. The
// rules and codes follow the API reference at
// https://help.aliyun.com/zh/oss/developer-reference/.
package oss

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ecs-image-export/events"
	"ecs-image-export/local/identity"

	"go.etcd.io/bbolt"
)

// Config says where a Service keeps its data and whom it knows.
type Config struct {
	// Dir holds everything; it is made if it does not exist. One process at a
	// time may use it.
	Dir string
	// AccountID is the number of the account that owns every bucket.
	AccountID string
	// Region is the region of the endpoint, such as "cn-hangzhou", and of a
	// bucket that names none.
	Region string
	// Identities knows the access keys.
	Identities identity.Source
	// Deliver is handed every object event at least once, until it returns nil.
	// With a nil Deliver no events are recorded.
	Deliver func(context.Context, events.ObjectEvent) error
	// Foreign are buckets of other accounts.
	Foreign []Foreign
	// RejectV1 refuses V1 signatures, as OSS does for accounts that were made
	// after March 2025 and buckets made after September 2025.
	RejectV1 bool
	// Now is the clock of everything that is stored or checked; default time.Now.
	Now func() time.Time
	// Speed divides the period of the lifecycle scan; default 1.
	Speed float64
}

// Service is an OSS endpoint. Its methods are safe for concurrent use.
type Service struct {
	cfg   Config
	db    *bbolt.DB
	blobs *blobStore
	// foreign are the buckets of other accounts, by name.
	foreign map[string]Foreign

	stop context.CancelFunc
	done sync.WaitGroup
	wake chan struct{} // holds one token while the outbox may have something new
}

// Open opens or makes the data in cfg.Dir, removes what a killed process left
// half-written, and starts delivering events and applying lifecycle rules.
// Close stops both.
func Open(cfg Config) (*Service, error) {
	if cfg.Identities == nil {
		return nil, errors.New("open oss: no identities")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Speed <= 0 {
		cfg.Speed = 1
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("open oss: %w", err)
	}
	db, err := openDB(filepath.Join(cfg.Dir, "oss.db"))
	if err != nil {
		return nil, err
	}
	blobs, err := openBlobs(filepath.Join(cfg.Dir, "content"), db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Service{cfg: cfg, db: db, blobs: blobs, stop: stop, wake: make(chan struct{}, 1)}
	if err := s.openForeign(); err != nil {
		stop()
		return nil, errors.Join(fmt.Errorf("open oss: buckets of other accounts: %w", err), db.Close())
	}
	if cfg.Deliver != nil {
		s.done.Go(func() { s.deliverEvents(ctx) })
	}
	s.done.Go(func() { s.scanLifecycles(ctx) })
	return s, nil
}

// Close stops the background work and closes the data. Requests must have
// ended; those that have not fail.
func (s *Service) Close() error {
	s.stop()
	s.done.Wait()
	return s.db.Close()
}

// now is the time that is stored and sent: UTC, whole milliseconds as OSS has
// them.
func (s *Service) now() time.Time {
	return s.cfg.Now().UTC().Truncate(time.Millisecond)
}

var _ http.Handler = (*Service)(nil)
