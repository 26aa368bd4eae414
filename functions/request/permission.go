package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
)

// RoleConfig is about the role that ECS writes to the export buckets as, and about
// what is known of these.
type RoleConfig struct {
	RAMEndpoint string `env:"RAM_ENDPOINT"`
	// AllowRoleSetup lets POST /authorization make the role.
	AllowRoleSetup bool `env:"ALLOW_ROLE_SETUP" envDefault:"false"`
	// WatchedBuckets are those that the triggers of the catalog are on; blank where
	// nobody says.
	WatchedBuckets []string `env:"WATCHED_BUCKETS"`
}

func (c Config) validateWatched() error {
	var problems []error
	for _, name := range c.WatchedBuckets {
		if !slices.Contains(c.ExportBuckets, name) {
			problems = append(problems, fmt.Errorf("WATCHED_BUCKETS holds %q, which is not one of EXPORT_BUCKETS: the names have commas and no spaces between them", name))
		}
	}
	return errors.Join(problems...)
}

// unwatched says whether the deployment knows that no trigger of the catalog is on
// a bucket.
func (c Config) unwatched(bucket string) bool {
	return len(c.WatchedBuckets) > 0 && !slices.Contains(c.WatchedBuckets, bucket)
}

// What ExportImage's page says that the role needs.
const (
	consoleRole  = export.DefaultRole // that the link of the console sets up
	systemPolicy = "AliyunECSImageExportRolePolicy"
	exporter     = "ecs.aliyuncs.com"

	trustPolicy      = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":["` + exporter + `"]}}]}`
	permissionPolicy = `{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:GetObject","oss:PutObject","oss:DeleteObject","oss:GetBucketLocation","oss:GetBucketInfo","oss:AbortMultipartUpload","oss:ListMultipartUploads","oss:ListParts"],"Resource":"*"}]}`

	// authorizeURL is one page for import and export. Accounts of the international
	// site find it at ram.console.alibabacloud.com.
	authorizeURL = "https://ram.console.aliyun.com/#/role/authorize?request=%7B%22Requests%22:%20%7B%22request1%22:%20%7B%22RoleName%22:%20%22AliyunECSImageImportDefaultRole%22,%20%22TemplateId%22:%20%22ECSImportRole%22%7D,%20%22request2%22:%20%7B%22RoleName%22:%20%22AliyunECSImageExportDefaultRole%22,%20%22TemplateId%22:%20%22ECSExportRole%22%7D%7D,%20%22ReturnUrl%22:%20%22https:%2F%2Fecs.console.aliyun.com%2F%22,%20%22Service%22:%20%22ECS%22%7D"
)

// needs are the actions of permissionPolicy on one bucket, and on the objects there
// whose names begin with prefix.
func (s *server) needs(bucket, prefix string) []ram.Need {
	resource := fmt.Sprintf("acs:oss:%s:%s:%s", s.config.Region, s.config.AccountID, bucket)
	var needs []ram.Need
	for _, action := range []string{"GetBucketLocation", "GetBucketInfo", "ListMultipartUploads"} {
		needs = append(needs, ram.Need{Action: "oss:" + action, Resource: resource})
	}
	for _, action := range []string{"GetObject", "PutObject", "DeleteObject", "AbortMultipartUpload", "ListParts"} {
		needs = append(needs, ram.Need{Action: "oss:" + action, Resource: resource + "/" + prefix + "*"})
	}
	return needs
}

// ramTimeout bounds the look at a role. RAM is one service for all regions, and an
// export need not fail because it is slow: ECS looks at the role anyway.
const ramTimeout = 5 * time.Second

// roleFacts is what RAM says about a role.
type roleFacts struct {
	name     string
	unknown  string // why RAM could not be asked, in a clause; err says it too
	err      error
	missing  bool
	arn      string
	trust    string
	policies []ram.Policy // Name is "System/…" or "Custom/…"
}

// known says that the role is there, and what it is like.
func (r roleFacts) known() bool { return r.unknown == "" && !r.missing }

// role looks a role up with its policies.
func (s *server) role(ctx context.Context, name string) roleFacts {
	facts := roleFacts{name: name}
	ctx, cancel := context.WithTimeout(ctx, ramTimeout)
	defer cancel()
	var unread error
	var reading sync.WaitGroup
	reading.Go(func() { facts.policies, unread = s.policies(ctx, name) })
	role, err := s.roles.Role(ctx, name)
	reading.Wait()
	if err == nil {
		facts.arn, facts.trust, err = role.ARN, role.Trust, unread
	}
	switch {
	case errors.Is(err, ram.ErrNotFound):
		return roleFacts{name: name, missing: true}
	case err != nil:
		return roleFacts{name: name, unknown: unasked(err), err: err}
	}
	return facts
}

// policies reads the policies of a role. Of the one that is made for exports nobody
// but RAM knows the text; it is taken for what its page says it may be replaced by.
func (s *server) policies(ctx context.Context, role string) ([]ram.Policy, error) {
	names, err := s.roles.Attached(ctx, role)
	policies := make([]ram.Policy, len(names))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, full := range names {
		kind, name, _ := strings.Cut(full, "/")
		policies[i].Name = full
		if kind == ram.System && name == systemPolicy {
			policies[i].Document = permissionPolicy
			continue
		}
		group.Go(func() error {
			document, err := s.roles.Document(ctx, kind, name)
			if err != nil {
				policies[i].Unread = unasked(err)
			}
			policies[i].Document = document
			return nil
		})
	}
	_ = group.Wait()
	return policies, err
}

// unasked is why RAM did not tell something, in a clause.
func unasked(err error) string {
	var e *rpc.Error
	switch {
	case !errors.As(err, &e):
		return "RAM could not be asked"
	case errors.Is(err, ram.ErrForbidden):
		return "the function's role lacks ram:" + e.Action
	case e.Code != "":
		return fmt.Sprintf("RAM answered %s to %s", e.Code, e.Action)
	}
	return "RAM gave no answer to " + e.Action
}

// judge says what a role may do with what an export writes to a bucket. Of a bucket
// that is not the deployment's it says nothing.
func (s *server) judge(r roleFacts, bucket, prefix string) export.Permission {
	p := export.Permission{Unknown: r.unknown, Missing: r.missing}
	if strings.EqualFold(r.name, consoleRole) {
		p.AuthorizeURL = authorizeURL
	}
	if !r.known() {
		return p
	}
	p.TrustsECS, p.Unclear = ram.Trusts(r.trust, exporter)
	if !slices.Contains(s.config.ExportBuckets, bucket) {
		return p
	}
	j := ram.Judge(r.policies, s.needs(bucket, prefix))
	p.Lacks, p.Denied, p.Unclear = j.Lacks, j.Denied, append(p.Unclear, j.Unclear...)
	return p
}

// permission is what the rules about the role of an order want to know. What is no
// name of a role is not looked up.
func (s *server) permission(ctx context.Context, o export.Order) *export.Permission {
	if !export.RoleName.MatchString(o.RoleName) {
		return nil
	}
	prefix := o.Prefix
	if !export.Prefix.MatchString(prefix) {
		prefix = ""
	}
	p := s.judge(s.role(ctx, o.RoleName), o.Bucket, prefix)
	return &p
}
