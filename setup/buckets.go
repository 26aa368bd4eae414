package main

import (
	"context"
	"errors"
	"fmt"

	"ecs-image-export/shared/oss"
)

// exportRule clears away what an export that died has left: parts of an upload cost
// storage and no listing of objects shows them. Those of an export that is alive are
// younger: MAX_AGE is at most tracker.LongestTask.
var exportRule = oss.Rule{ID: "ecs-image-export-abort-uploads", AbortUploadsDays: 7}

// progressRule ends the claims that keep questions about progress apart. They mean
// nothing after PROGRESS_INTERVAL, seconds and at most a day, which is the shortest
// that OSS knows.
var progressRule = oss.Rule{ID: "ecs-image-export-progress", Prefix: "progress/", ExpireDays: 1}

// claimRules end the claims of idempotency keys and of callers' places for open
// exports. OSS counts from the last claim, and both mean nothing for longer than
// that: a key expires within 28 days (IDEMPOTENCY_EXPIRY), and no export is open for
// longer (tracker.LongestOpen). What other prefixes hold stays until it is removed.
var claimRules = []oss.Rule{
	{ID: "ecs-image-export-idempotency", Prefix: "idempotency/", ExpireDays: 30},
	{ID: "ecs-image-export-by-caller", Prefix: "by-caller/", ExpireDays: 30},
}

func (r *report) buckets(ctx context.Context, cfg Config, client *oss.Client) {
	for _, name := range cfg.ExportBuckets {
		r.bucket(ctx, cfg, client.Bucket(name), []oss.Rule{exportRule}, func(ctx context.Context, b *oss.Bucket, info oss.Info) error {
			if info.Encryption != "" {
				return fmt.Errorf("it encrypts with %s, and ECS exports into no bucket that does (InvalidOSSBucket.EncryptUnsupported); turn that off or name another bucket in EXPORT_BUCKETS", info.Encryption)
			}
			return nil
		})
	}
	r.bucket(ctx, cfg, client.Bucket(cfg.RecordsBucket), append([]oss.Rule{progressRule}, claimRules...), func(ctx context.Context, b *oss.Bucket, _ oss.Info) error {
		versioning, err := b.Versioning(ctx)
		if err != nil {
			return err
		}
		if versioning != "" {
			return fmt.Errorf("its versioning is %s: OSS does not keep create-only promises in a bucket that has or had versions, and suspending it does not help; name a new bucket in RECORDS_BUCKET", versioning)
		}
		return nil
	})
}

// bucket makes a bucket unless it is there, checks that it can be used, and sets its
// lifecycle rules.
func (r *report) bucket(ctx context.Context, cfg Config, b *oss.Bucket, rules []oss.Rule, check func(context.Context, *oss.Bucket, oss.Info) error) {
	outcome := unchanged
	info, err := b.Info(ctx)
	if errors.Is(err, oss.ErrNoBucket) {
		outcome = made
		if err = b.CreateBucket(ctx); err == nil {
			info, err = b.Info(ctx)
		}
	}
	if err == nil && info.Region != cfg.Region {
		err = fmt.Errorf("it is in %s, not in %s", info.Region, cfg.Region)
	}
	if err == nil && info.ACL != "private" {
		err = fmt.Errorf("it is %s; make it private", info.ACL)
	}
	if err == nil {
		err = check(ctx, b, info)
	}
	r.line("bucket", b.Name(), outcome, err)
	if err != nil {
		return
	}
	for _, rule := range rules {
		r.lifecycle(ctx, b, rule)
	}
}

func (r *report) lifecycle(ctx context.Context, b *oss.Bucket, rule oss.Rule) {
	rules, err := b.Lifecycle(ctx)
	if err != nil {
		r.line("lifecycle rule", b.Name()+" "+rule.ID, "", err)
		return
	}
	outcome := made
	for _, is := range rules {
		if is.ID == rule.ID {
			outcome = changed
		}
	}
	did, err := b.SetLifecycle(ctx, rule)
	if !did {
		outcome = unchanged
	}
	r.line("lifecycle rule", b.Name()+" "+rule.ID, outcome, err)
}
