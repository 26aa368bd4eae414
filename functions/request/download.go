package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/oss"
	"ecs-image-export/shared/rpc"
)

const (
	// linkTime is how long a link lives at most.
	linkTime = time.Hour
	// sessionTime is how long credentials to sign links with are asked for, and
	// sessionLeft how much of that must be left for another link: nobody gets a
	// link of a few minutes for a disk of many gigabytes.
	sessionTime = time.Hour
	sessionLeft = 30 * time.Minute
	sessionName = "image-export-download"
)

type diskPath struct {
	ID     string `path:"id" example:"7kq3m9x2q4r8w" doc:"The export's id."`
	Device string `path:"device" example:"xvdb" doc:"The disk's device, with or without /dev/ (escaped as %2Fdev%2F)."`
}

func (s *server) downloadOperation(api huma.API) {
	type output struct {
		Location string `header:"Location" doc:"A link to the object for GET, good for an hour at most."`
	}
	huma.Register(api, huma.Operation{
		OperationID: "download-disk", Method: http.MethodGet, Path: "/exports/{id}/disks/{device}/download", Tags: []string{"exports"},
		Summary:       "Download a disk",
		Description:   "Redirects to a signed link on the public endpoint of OSS. Whoever has the link can read the object while it lives.",
		DefaultStatus: http.StatusFound, Security: mayRead,
		Errors: []int{http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable},
	}, func(ctx context.Context, in *diskPath) (*output, error) {
		x, err := s.load(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		landed, err := find(x, in.Device)
		if err != nil {
			return nil, err
		}
		link, _, err := s.downloads.Bucket(x.Request.Bucket).SignGet(ctx, landed.Key, linkTime, oss.SignOptions{Filename: landed.Key})
		if err != nil {
			return nil, unavailable(ctx, "The link can't be signed.", "Try again.", err)
		}
		return &output{link}, nil
	})
}

// find looks up the object of a disk. Its errors are problems.
func find(x export.Export, device string) (export.Landed, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(device, "/"), "dev/")
	var names []string
	for _, d := range x.Request.Disks {
		if d.Name() != name {
			names = append(names, d.Name())
			continue
		}
		if landed, ok := x.Landed[d.Device]; ok {
			return landed, nil
		}
		return export.Landed{}, newProblem(http.StatusConflict, codeNotLanded, notLanded(x, d))
	}
	return export.Landed{}, newProblem(http.StatusNotFound, codeNoDisk, "The image has no such disk.",
		finding{Location: "path.device", Message: "must be one of: " + strings.Join(names, ", "), Value: shorten(device)})
}

func notLanded(x export.Export, d export.Disk) string {
	if reason := canceledWhy(x); x.State == export.Canceled && reason != "" {
		return fmt.Sprintf("The export is canceled: %s.", reason)
	}
	if x.State == export.Canceled || x.State == export.Deleted {
		return fmt.Sprintf("The export is %s, and its objects have been removed.", x.State)
	}
	detail := fmt.Sprintf("The object of disk %s has not landed; the export is %s.", d.Device, x.State)
	if !x.State.Terminal() {
		detail += " Try again later."
	}
	return detail
}

// canceledWhy is what the end of a cancel says where it is not that everything was
// removed: there never was anything, or the cancel was given up.
func canceledWhy(x export.Export) string {
	i := slices.IndexFunc(x.Lines, func(l export.Line) bool { return l.State == export.Canceled })
	if i < 0 {
		return ""
	}
	return x.Lines[i].Reason
}

// session keeps credentials of the role that links are signed as. The function's
// own would do worse: they may write, and may have minutes left to live.
type session struct {
	take func(context.Context) (rpc.Credentials, error)
	now  func() time.Time

	mu   sync.Mutex
	kept rpc.Credentials
}

// credentials is an rpc.Source.
func (s *session) credentials(ctx context.Context) (rpc.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept.Expires.Sub(s.now()) > sessionLeft {
		return s.kept, nil
	}
	c, err := s.take(ctx)
	if err != nil {
		return rpc.Credentials{}, err
	}
	s.kept = c
	return c, nil
}
