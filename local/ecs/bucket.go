package ecs

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"ecs-image-export/local/identity"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
)

// serviceName is who ECS is when it takes a role.
const serviceName = "ecs.aliyuncs.com"

// sessionTime is how long the credentials of an export are valid; a longer
// export renews them.
const sessionTime = time.Hour

// session hands out the credentials of a role and renews them when three
// quarters of their time are over. It is an oss.CredentialsProviderE.
type session struct {
	roles identity.Roles
	role  string

	mu      sync.Mutex
	current identity.Credentials
	renew   time.Time // zero: never
}

type credentials struct{ identity.Credentials }

func (c credentials) GetAccessKeyID() string     { return c.AccessKeyID }
func (c credentials) GetAccessKeySecret() string { return c.AccessKeySecret }
func (c credentials) GetSecurityToken() string   { return c.SecurityToken }

// GetCredentials is there for the interface; the client calls GetCredentialsE.
func (s *session) GetCredentials() oss.Credentials {
	c, err := s.GetCredentialsE()
	if err != nil {
		return credentials{}
	}
	return c
}

func (s *session) GetCredentialsE() (oss.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.AccessKeyID != "" && (s.renew.IsZero() || time.Now().Before(s.renew)) {
		return credentials{s.current}, nil
	}
	c, err := s.roles.AssumeAs(context.Background(), serviceName, s.role, "ecs-image-export", sessionTime)
	if err != nil {
		return nil, fmt.Errorf("assume role %s: %w", s.role, err)
	}
	s.current, s.renew = c, time.Time{}
	if !c.Expiration.IsZero() {
		s.renew = time.Now().Add(time.Until(c.Expiration) * 3 / 4)
	}
	return credentials{c}, nil
}

func roleMissing(err error) bool {
	return errors.Is(err, identity.ErrNoRole) || errors.Is(err, identity.ErrNotTrusted)
}

func (s *Service) client(role string) (*oss.Client, *session, error) {
	as := &session{roles: s.Roles, role: role}
	c, err := oss.New(s.OSSEndpoint, "", "", oss.SetCredentialsProvider(as), oss.AuthVersion(oss.AuthV4),
		oss.Region(s.Region), oss.ForcePathStyle(true), oss.HTTPClient(s.http))
	if err != nil {
		return nil, nil, fmt.Errorf("make OSS client for %s: %w", s.OSSEndpoint, err)
	}
	return c, as, nil
}

func (s *Service) bucket(role, name string) (*oss.Bucket, error) {
	c, _, err := s.client(role)
	if err != nil {
		return nil, err
	}
	b, err := c.Bucket(name)
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	return b, nil
}

// checkBucket answers as ECS does when it cannot take the role, or the role
// cannot use the bucket, or an archived object is where one is to be written. It
// costs one call to OSS and one for each disk.
func (s *Service) checkBucket(t *task) error {
	name := t.Bucket
	client, as, err := s.client(t.Role)
	if err != nil {
		return err
	}
	if _, err := as.GetCredentialsE(); roleMissing(err) {
		return errNoRole
	} else if err != nil {
		return err
	}
	if oss.CheckBucketName(name) != nil {
		return errBucket // such a bucket cannot exist
	}
	got, err := client.GetBucketInfo(name)
	var refused oss.ServiceError
	switch {
	case errors.As(err, &refused) && (refused.StatusCode == http.StatusNotFound || refused.Code == "InvalidBucketName"):
		return errBucket
	case refused.Endpoint != "": // OSS names the endpoint of the region that has it
		return errBucket
	case refused.StatusCode == http.StatusForbidden:
		return errBucketDenied
	case err != nil:
		return fmt.Errorf("look at bucket %s: %w", name, err)
	case got.BucketInfo.Location != "oss-"+s.Region:
		return errBucket
	case got.BucketInfo.SseRule.SSEAlgorithm != "":
		return errBucketEncrypts
	}
	b, err := client.Bucket(name)
	if err != nil {
		return fmt.Errorf("bucket %s: %w", name, err)
	}
	for _, d := range t.Disks {
		if err := checkObject(b, d.Object); err != nil {
			return err
		}
	}
	return nil
}

func checkObject(b *oss.Bucket, key string) error {
	header, err := b.GetObjectDetailedMeta(key)
	var refused oss.ServiceError
	switch {
	case err == nil && strings.HasSuffix(header.Get(oss.HTTPHeaderOssStorageClass), "Archive"):
		return errRestore
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound:
		return nil
	case refused.StatusCode == http.StatusForbidden:
		return errBucketDenied
	}
	return fmt.Errorf("look at object %s of bucket %s: %w", key, b.BucketName, err)
}
