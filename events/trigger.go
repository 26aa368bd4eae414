// Package events holds what crosses a boundary of the system: one small value
// type per message, its JSON Schema in schemas/ and a sample of each in samples/.
// asyncapi.yaml puts together what subscribers need to know.
//
// The schemas of what we send are strict. Those of what Function Compute sends
// allow fields that it may add. They are written in what JSON Schema 2020-12 has
// in common with draft-07, because AsyncAPI tools read no later draft.
//
// The types in this file are the trigger events that Function Compute hands to
// our functions. They are our own rather than the runtime SDK's because that
// SDK turns every field into a pointer and cannot decode some real payloads.
package events

import (
	"encoding/json"
	"time"
)

// ObjectEvent is the event of an OSS trigger. In practice it holds one record,
// but the format allows several.
type ObjectEvent struct {
	Events []ObjectRecord `json:"events"`
}

// ObjectRecord says what happened to one object. EventName has no "oss:"
// prefix here ("ObjectCreated:CompleteMultipartUpload"), unlike in a trigger's
// configuration. The key is plain UTF-8, not URL-encoded.
type ObjectRecord struct {
	EventName    string    `json:"eventName"`
	EventSource  string    `json:"eventSource"`
	EventTime    time.Time `json:"eventTime"`
	EventVersion string    `json:"eventVersion"`
	OSS          struct {
		Bucket struct {
			ARN           string `json:"arn"`
			Name          string `json:"name"`
			OwnerIdentity string `json:"ownerIdentity"`
			VirtualBucket string `json:"virtualBucket"`
		} `json:"bucket"`
		Object struct {
			DeltaSize  int64       `json:"deltaSize"`
			ETag       string      `json:"eTag"`
			Key        string      `json:"key"`
			ObjectMeta *ObjectMeta `json:"objectMeta,omitempty"`
			Size       int64       `json:"size"`
		} `json:"object"`
		SchemaVersion string `json:"ossSchemaVersion"`
		RuleID        string `json:"ruleId"`
	} `json:"oss"`
	Region            string `json:"region"`
	RequestParameters struct {
		SourceIPAddress string `json:"sourceIPAddress"`
	} `json:"requestParameters"`
	ResponseElements struct {
		RequestID string `json:"requestId"`
	} `json:"responseElements"`
	UserIdentity struct {
		PrincipalID string `json:"principalId"`
	} `json:"userIdentity"`
}

// MarshalJSON writes the event's time in UTC with three decimals, as OSS does.
// Programs that parse it by a fixed layout refuse any other number of them.
func (r ObjectRecord) MarshalJSON() ([]byte, error) {
	type fields ObjectRecord // without this method
	at := r.EventTime.UTC()
	if _, err := at.MarshalText(); err != nil {
		return nil, err // a year that RFC 3339 has no room for
	}
	return json.Marshal(struct {
		fields
		EventTime string `json:"eventTime"`
	}{fields(r), at.Format("2006-01-02T15:04:05.000Z")})
}

// ObjectMeta is the part of an object's metadata that an OSS event carries.
type ObjectMeta struct {
	MimeType string            `json:"mimeType,omitempty"`
	UserMeta map[string]string `json:"userMeta,omitempty"`
}

// TimerEvent is the event of a timer trigger.
type TimerEvent struct {
	TriggerTime time.Time `json:"triggerTime"`
	TriggerName string    `json:"triggerName"`
	Payload     string    `json:"payload"`
}

// HTTPRequest is the event of an HTTP trigger in a built-in runtime, version
// "v1". RawPath is URL-encoded, RequestContext.HTTP.Path is decoded; several
// values of one header or query parameter are joined with commas.
type HTTPRequest struct {
	Version         string            `json:"version"`
	RawPath         string            `json:"rawPath"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	Headers         map[string]string `json:"headers"`
	QueryParameters map[string]string `json:"queryParameters"`
	RequestContext  struct {
		AccountID    string    `json:"accountId"`
		DomainName   string    `json:"domainName"`
		DomainPrefix string    `json:"domainPrefix"`
		RequestID    string    `json:"requestId"`
		Time         time.Time `json:"time"`
		TimeEpoch    string    `json:"timeEpoch"` // milliseconds, as a string
		HTTP         struct {
			Method    string `json:"method"`
			Path      string `json:"path"`
			Protocol  string `json:"protocol"`
			SourceIP  string `json:"sourceIp"`
			UserAgent string `json:"userAgent"`
		} `json:"http"`
	} `json:"requestContext"`
}

// HTTPResponse is what a function behind an HTTP trigger returns.
type HTTPResponse struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
	Body            string            `json:"body"`
}
