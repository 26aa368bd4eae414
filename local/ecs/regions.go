package ecs

import (
	"context"
	"net/http"

	"ecs-image-export/local/rpc"
)

var (
	errRegion = &rpc.Error{Status: http.StatusBadRequest, Code: "InvalidRegionId.NotFound", Message: "The specified RegionId does not exist."}
	// errRegionOfImages is what the operations on images answer.
	errRegionOfImages = &rpc.Error{Status: http.StatusNotFound, Code: "InvalidRegionId.NotFound", Message: "The specified RegionId does not exist."}
)

type region struct {
	RegionID       string `json:"RegionId"`
	RegionEndpoint string
	LocalName      string
	Status         string
}

// describeRegions knows one region: the others are not part of this cloud.
func (s *Service) describeRegions(context.Context, *rpc.Request) (any, error) {
	host := s.Endpoint
	if host == "" {
		host = "ecs." + s.Region + ".aliyuncs.com"
	}
	var out struct {
		Regions struct{ Region []region }
	}
	out.Regions.Region = []region{{RegionID: s.Region, RegionEndpoint: host, LocalName: s.Region, Status: "available"}}
	return out, nil
}

// inRegion checks the parameters that are mandatory, the first of which is
// RegionId, and that the region is the one that is served.
func (s *Service) inRegion(r *rpc.Request, mandatory ...string) error {
	for _, name := range append([]string{"RegionId"}, mandatory...) {
		if r.Get(name) == "" {
			return missing(name)
		}
	}
	if r.Get("RegionId") != s.Region {
		return errRegion
	}
	return nil
}

// missing is MissingParameter in the words of the pages of ExportImage and the
// task operations, which differ a little from those elsewhere in ECS.
func missing(name string) *rpc.Error {
	return &rpc.Error{
		Status: http.StatusBadRequest, Code: "MissingParameter",
		Message: `An input parameter "` + name + `" that is mandatory for processing the request is not supplied.`,
	}
}
