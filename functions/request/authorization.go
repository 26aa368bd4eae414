package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"ecs-image-export/shared/export"
	"ecs-image-export/shared/function"
	"ecs-image-export/shared/ram"
	"ecs-image-export/shared/rpc"
)

// What a problem of POST /authorization can be.
const (
	codeNoRoleSetup = "RoleSetupNotAllowed"
	codeRoleTrust   = "RoleTrustsOthers"
	codeRoleRefused = "RoleSetupRefused"
)

// authorizationReport says whether ECS may write to the export buckets, and what
// it takes.
type authorizationReport struct {
	Authorized   *bool        `json:"authorized" doc:"Whether ECS may write disks to every bucket of this deployment; null where that can't be told."`
	Role         roleReport   `json:"role"`
	Missing      []string     `json:"missing" enum:"role,trust,permissions" doc:"What is missing: the role, a trust policy that lets ECS take it, or permissions. Those that depend on something that could not be read are not in it."`
	Created      []string     `json:"created,omitempty" enum:"role,permissions" doc:"What this call made, or another at the same time."`
	Findings     []brokenRule `json:"findings" doc:"Every rule about the role that it breaks, the gravest first."`
	SetupAllowed bool         `json:"setupAllowed" doc:"Whether POST /authorization would make the role, which the deployment decides (ALLOW_ROLE_SETUP)."`
	AuthorizeURL string       `json:"authorizeUrl,omitempty" format:"uri" doc:"The console's page that makes the role, for whoever may. On the international site the host is ram.console.alibabacloud.com. Only there where the role has the name that this page gives it."`
	Needed       roleNeeds    `json:"needed"`
}

type roleReport struct {
	Name        string   `json:"name" example:"AliyunECSImageExportDefaultRole"`
	Exists      *bool    `json:"exists" doc:"Null where RAM could not be asked."`
	ARN         string   `json:"arn,omitempty" example:"acs:ram::1234567890123456:role/aliyunecsimageexportdefaultrole"`
	TrustPolicy any      `json:"trustPolicy,omitempty" doc:"Who may take the role: its document."`
	Policies    []string `json:"policies" example:"[\"System/AliyunECSImageExportRolePolicy\"]" doc:"What it has, as type and name."`
}

// roleNeeds is what ExportImage's page asks for.
type roleNeeds struct {
	SystemPolicy     string `json:"systemPolicy" example:"AliyunECSImageExportRolePolicy" doc:"The policy of RAM's that is made for this."`
	TrustPolicy      any    `json:"trustPolicy" doc:"The trust policy that the role needs."`
	PermissionPolicy any    `json:"permissionPolicy" doc:"What a custom policy must grant in the system policy's place. The resource may be narrowed to the buckets and their objects."`
}

func (s *server) authorizationOperations(api huma.API) {
	type input struct {
		RoleName string `query:"roleName" pattern:"^[A-Za-z0-9.@-]{1,64}$" patternDescription:"the name of a RAM role: 1 to 64 letters, digits, full stops, hyphens and @" doc:"The role; the deployment's by default. Any but that one and AliyunECSImageExportDefaultRole takes the scope exports:admin as well."`
	}
	type output struct{ Body authorizationReport }
	huma.Register(api, huma.Operation{
		OperationID: "get-authorization", Method: http.MethodGet, Path: "/authorization", Tags: []string{"authorization"},
		Summary: "Say whether ECS may write to the export buckets, and what is missing", Security: mayRead,
	}, func(ctx context.Context, in *input) (*output, error) {
		name := cmp.Or(in.RoleName, s.config.ExportRole)
		if !s.forExports(name) && !callerOf(ctx).may(adminScope) {
			return nil, forbidden(adminScope, readScope, adminScope)
		}
		return &output{s.reportRole(s.role(ctx, name))}, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "create-authorization", Method: http.MethodPost, Path: "/authorization", Tags: []string{"authorization"},
		Summary: "Make the role that ECS writes as, as far as it is missing",
		Description: "Makes the deployment's role with its trust policy, and attaches the system policy where what the role has does not grant enough. " +
			"What is there stays as it is: a trust policy that names others is not changed, a policy that denies is not taken away. " +
			"May be called again, and by several at once. Only in deployments that set ALLOW_ROLE_SETUP. A body has to be JSON; nothing in it is looked at.",
		DefaultStatus: http.StatusOK, Security: mayAdmin, Errors: []int{http.StatusConflict},
	}, func(ctx context.Context, _ *struct{}) (*output, error) {
		report, err := s.setUpRole(ctx)
		return &output{report}, err
	})
}

// forExports says whether a role is one that exports are made with. What others may
// do is the account's business. RAM tells no capitals apart.
func (s *server) forExports(role string) bool {
	return strings.EqualFold(role, s.config.ExportRole) || strings.EqualFold(role, consoleRole)
}

// reportRole judges a role on every bucket of the deployment.
func (s *server) reportRole(r roleFacts) authorizationReport {
	report := authorizationReport{
		Role:    roleReport{Name: r.name, ARN: r.arn, Policies: []string{}},
		Missing: []string{}, SetupAllowed: s.config.AllowRoleSetup,
		Needed: roleNeeds{SystemPolicy: systemPolicy, TrustPolicy: json.RawMessage(trustPolicy), PermissionPolicy: json.RawMessage(permissionPolicy)},
	}
	if r.unknown == "" {
		exists := !r.missing
		report.Role.Exists = &exists
	}
	if json.Valid([]byte(r.trust)) {
		report.Role.TrustPolicy = json.RawMessage(r.trust)
	}
	for _, p := range r.policies {
		report.Role.Policies = append(report.Role.Policies, p.Name)
	}
	var findings []export.Finding
	clear := true
	for _, bucket := range s.config.ExportBuckets {
		p := s.judge(r, bucket, "")
		report.AuthorizeURL = p.AuthorizeURL
		for what, missing := range map[string]bool{
			"role": p.Missing, "trust": r.known() && !p.TrustsECS, "permissions": len(p.Lacks) > 0,
		} {
			if missing && !slices.Contains(report.Missing, what) {
				report.Missing = append(report.Missing, what)
			}
		}
		clear = clear && p.Unknown == "" && len(p.Unclear) == 0
		for _, f := range export.Check(export.Subject{Order: export.Order{Bucket: bucket, RoleName: r.name}, Permission: &p}, s.config.limits()) {
			if !slices.Contains(findings, f) {
				findings = append(findings, f)
			}
		}
	}
	slices.Sort(report.Missing)
	slices.SortStableFunc(findings, func(a, b export.Finding) int {
		return slices.Index(export.Severities, a.Severity) - slices.Index(export.Severities, b.Severity)
	})
	report.Findings = brokenRules(findings)
	if refused := export.Judge(findings) == export.Refused; refused || clear {
		authorized := !refused
		report.Authorized = &authorized
	}
	return report
}

// setUpRole makes what the deployment's role lacks. Whoever comes in between does
// the same, so "exists already" is what was wanted.
func (s *server) setUpRole(ctx context.Context) (authorizationReport, error) {
	name := s.config.ExportRole
	if !s.config.AllowRoleSetup {
		return authorizationReport{}, s.refuseSetup("This deployment does not make roles (ALLOW_ROLE_SETUP is not set).")
	}
	var created []string
	_, err := s.roles.Role(ctx, name)
	if errors.Is(err, ram.ErrNotFound) {
		_, err = s.roles.CreateRole(ctx, ram.Role{Name: name, Description: "The ECS service will use this role to export image file.", Trust: trustPolicy})
		if err == nil {
			created = append(created, "role")
			slog.InfoContext(ctx, "role created", "role", name)
		}
		if errors.Is(err, ram.ErrExists) {
			err = nil
		}
	}
	if err != nil {
		return authorizationReport{}, s.setupFailed(ctx, err)
	}
	report, enough, err := s.made(ctx, name)
	if err != nil {
		return authorizationReport{}, err
	}
	// A role that RAM does not show yet, or with a policy that can't be judged, gets
	// the policy too: attaching it twice is the same as once.
	if !enough {
		err := s.roles.EnsureAttached(ctx, name, ram.System, systemPolicy)
		if e, refused := rpc.Refused(err); refused && e.Code == "EntityNotExist.Role" {
			return authorizationReport{}, notShown(ctx, name, e.Error())
		}
		if err != nil {
			return authorizationReport{}, s.setupFailed(ctx, err)
		}
		created = append(created, "permissions")
		slog.InfoContext(ctx, "policy attached", "role", name, "policy", systemPolicy)
		if report, _, err = s.made(ctx, name); err != nil {
			return authorizationReport{}, err
		}
	}
	if len(report.Missing) > 0 {
		return authorizationReport{}, notShown(ctx, name, fmt.Sprintf("missing after the set-up: %v", report.Missing))
	}
	report.Created = created
	return report, nil
}

// made looks at the role while it is set up. enough says that it surely has a policy
// that grants what exports need. The error is a problem: RAM can't be asked, or a
// trust policy stays as it is.
func (s *server) made(ctx context.Context, name string) (report authorizationReport, enough bool, err error) {
	facts := s.role(ctx, name)
	if facts.err != nil {
		return report, false, s.setupFailed(ctx, facts.err)
	}
	report = s.reportRole(facts)
	if slices.Contains(report.Missing, "trust") {
		return report, false, newProblem(http.StatusConflict, codeRoleTrust, fmt.Sprintf(
			"Role %s is there, and its trust policy does not let %s take it. That is not changed here, because others may rely on it: "+
				"add the statement of GET /authorization (needed.trustPolicy) to it, or delete the role and call this again.", name, exporter))
	}
	attached := slices.ContainsFunc(facts.policies, func(p ram.Policy) bool { return p.Name == ram.System+"/"+systemPolicy })
	granted := report.Authorized != nil && !slices.Contains(report.Missing, "permissions")
	return report, facts.known() && (attached || granted), nil
}

// notShown is the answer where RAM took what was made and does not show it yet, as
// why says: that comes some seconds later.
func notShown(ctx context.Context, role, why string) *problem {
	return unavailable(ctx, fmt.Sprintf("Role %s is not whole yet: what was made stays, and RAM does not show all of it so soon.", role), "Call this again.", errors.New(why))
}

func (s *server) refuseSetup(why string) *problem {
	detail := why + " Let somebody who may manage RAM make the role: GET /authorization has both policy documents."
	if strings.EqualFold(s.config.ExportRole, consoleRole) {
		detail = why + " Let somebody who may manage RAM open " + authorizeURL
	}
	return newProblem(http.StatusForbidden, codeNoRoleSetup, detail)
}

// setupFailed is the answer where RAM did not do what it was asked for.
func (s *server) setupFailed(ctx context.Context, err error) *problem {
	e, refused := rpc.Refused(err)
	switch {
	case errors.Is(err, ram.ErrForbidden):
		return s.refuseSetup(fmt.Sprintf("The function's role lacks ram:%s: run the set-up step again with ALLOW_ROLE_SETUP, which grants it.", e.Action))
	case refused && (e.Status == http.StatusConflict || e.Status == http.StatusNotFound) && !rpc.Throttled(err):
		// Of the role or the policy. What is not, such as credentials, is as anywhere.
		function.Note(ctx, slog.String("error", err.Error()))
		c, _ := export.Explain(err)
		return newProblem(http.StatusConflict, codeRoleRefused, fmt.Sprintf(
			"RAM refuses %s with %s: %s. %s. Or make the role in the RAM console: GET /authorization has both policy documents.",
			e.Action, e.Code, strings.TrimRight(e.Message, ". "), strings.TrimRight(c.Remedy, ".")),
			finding{Location: "path", Message: "RAM answered " + e.Code + ": " + e.Message, Code: e.Code})
	}
	return unavailable(ctx, "RAM can't be asked. What was made stays.", "Call this again.", err)
}
