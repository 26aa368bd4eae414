package export

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ParseFormat takes a format in upper or lower case.
func ParseFormat(s string) (Format, bool) {
	for _, f := range Formats {
		if strings.EqualFold(string(f), s) {
			return f, true
		}
	}
	return "", false
}

func formatValid(s Subject, _ Limits) breach {
	if _, ok := ParseFormat(s.Order.Format); ok || s.Order.Format == "" {
		return breach{}
	}
	return breach{found: fmt.Sprintf("%.100q is no format of ExportImage.", s.Order.Format)}
}

func formatRegion(s Subject, l Limits) breach {
	f, ok := ParseFormat(s.Order.Format)
	if !ok || f == RAW || slices.Contains(l.FormatRegions, l.RegionID) {
		return breach{}
	}
	return breach{found: fmt.Sprintf("Region %s is not known to offer %s.", l.RegionID, f)}
}

func prefixForm(s Subject, _ Limits) breach {
	p := s.Order.Prefix
	if Prefix.MatchString(p) {
		return breach{}
	}
	if n := len([]rune(p)); n > MaxPrefix {
		return breach{found: fmt.Sprintf("The prefix %.100q has %d characters.", p, n)}
	}
	i := strings.IndexFunc(p, func(r rune) bool { return !Prefix.MatchString(string(r)) })
	return breach{found: fmt.Sprintf("The prefix %q holds %q.", p, []rune(p[i:])[0])}
}

func bucketAllowed(s Subject, l Limits) breach {
	if s.Order.Bucket == "" || slices.Contains(l.Buckets, s.Order.Bucket) {
		return breach{}
	}
	return breach{found: fmt.Sprintf("Bucket %s is none that this deployment exports to.", shown(s.Order.Bucket))}
}

func bucketExists(s Subject, _ Limits) breach {
	if s.Bucket == nil || !s.Bucket.Missing {
		return breach{}
	}
	return breach{found: fmt.Sprintf("Bucket %s does not exist.", shown(s.Order.Bucket))}
}

// bucketOwned: OSS does not tell who owns a bucket that it does not let us look
// at.
func bucketOwned(s Subject, l Limits) breach {
	switch b := s.Bucket; {
	case b == nil || b.Missing:
		return breach{}
	case b.Denied:
		return breach{found: fmt.Sprintf("Bucket %s can't be looked at: it belongs to another account, or the function may not ask.", s.Order.Bucket)}
	case b.OwnerID != "" && b.OwnerID != l.AccountID:
		return breach{found: fmt.Sprintf("Bucket %s belongs to account %s.", s.Order.Bucket, b.OwnerID)}
	}
	return breach{}
}

func bucketRegion(s Subject, l Limits) breach {
	if s.Bucket.RegionID == l.RegionID {
		return breach{}
	}
	return breach{found: fmt.Sprintf("Bucket %s lies in %s.", s.Order.Bucket, cmp.Or(s.Bucket.RegionID, "another region"))}
}

func bucketEncryption(s Subject, _ Limits) breach {
	if s.Bucket.Encryption == "" {
		return breach{}
	}
	return breach{found: fmt.Sprintf("Bucket %s encrypts its objects (%s).", s.Order.Bucket, s.Bucket.Encryption)}
}

// archives are the classes whose objects have to be restored, and the days that one
// is paid for at least.
var archives = map[string]int{classArchive: 60, classColdArchive: 180, classDeepColdArchive: 180}

func bucketArchive(s Subject, _ Limits) breach {
	class := s.Bucket.StorageClass
	if !strings.HasSuffix(class, "Archive") {
		return breach{}
	}
	least := "until the class's least time is over"
	if days, ok := archives[class]; ok {
		least = fmt.Sprintf("at least %d days", days)
	}
	return breach{found: fmt.Sprintf("Bucket %s is of storage class %s: a disk has to be restored before anybody can read it, and is paid for %s. The estimated fees hold neither.", s.Order.Bucket, class, least)}
}

func bucketInfrequent(s Subject, _ Limits) breach {
	if s.Bucket.StorageClass != classIA {
		return breach{}
	}
	return breach{found: fmt.Sprintf("Bucket %s is of storage class IA: a disk is paid for at least 30 days, and every download costs extra. The estimated fees hold neither.", s.Order.Bucket)}
}

func bucketPublic(s Subject, _ Limits) breach {
	if s.Bucket.ACL == "" || s.Bucket.ACL == "private" {
		return breach{}
	}
	return breach{found: fmt.Sprintf("Bucket %s is %s: whoever knows the name of a disk's object can read it.", s.Order.Bucket, s.Bucket.ACL)}
}

func bucketWatched(s Subject, l Limits) breach {
	if !s.Bucket.Unwatched || s.Bucket.RegionID != l.RegionID {
		return breach{}
	}
	return breach{found: fmt.Sprintf("Bucket %s has no triggers of the catalog function.", s.Order.Bucket)}
}

func roleExists(s Subject, l Limits) breach {
	if s.Permission == nil || !s.Permission.Missing {
		return breach{}
	}
	b := breach{found: fmt.Sprintf("Account %s has no role %s.", l.AccountID, s.Order.RoleName), remedy: s.authorize("Create it")}
	if b.remedy == "" && strings.EqualFold(s.Order.RoleName, l.RoleName) {
		b.remedy = "Create it: GET /authorization has both policies, and POST /authorization makes it where the deployment sets ALLOW_ROLE_SETUP."
	}
	return b
}

// RoleName is the pattern of a RAM role's name.
var RoleName = regexp.MustCompile(`^[A-Za-z0-9.@-]{1,64}$`)

func roleForm(s Subject, _ Limits) breach {
	name := s.Order.RoleName
	if name == "" || RoleName.MatchString(name) {
		return breach{}
	}
	if n := utf8.RuneCountInString(name); n > 64 {
		return breach{found: fmt.Sprintf("%s is no name of a role: it has %d characters.", shown(name), n)}
	}
	return breach{found: fmt.Sprintf("%q is no name of a role.", name)}
}

func roleTrust(s Subject, _ Limits) breach {
	if s.Permission.TrustsECS {
		return breach{}
	}
	return breach{found: fmt.Sprintf("The trust policy of role %s does not let ecs.aliyuncs.com take it.", s.Order.RoleName)}
}

func roleGrants(s Subject, _ Limits) breach {
	var parts []string
	if lacks := s.Permission.Lacks; len(lacks) > 0 {
		parts = append(parts, "does not allow "+strings.Join(lacks, ", "))
	}
	b := breach{}
	if denied := s.Permission.Denied; len(denied) > 0 {
		parts = append(parts, "denies "+strings.Join(denied, ", "))
		b.remedy = "Take the statement that denies it out of the role's policies; a Deny wins over every Allow."
		if len(parts) > 1 {
			b.remedy += " Then attach AliyunECSImageExportRolePolicy to it, or a policy of your own: GET /authorization has the text."
		}
	}
	if len(parts) > 0 {
		b.found = fmt.Sprintf("Role %s %s on bucket %s.", s.Order.RoleName, strings.Join(parts, " and "), s.Order.Bucket)
	}
	return b
}

func roleJudged(s Subject, _ Limits) breach {
	switch p := s.Permission; {
	case p == nil || p.Missing:
		return breach{}
	case p.Unknown != "":
		return breach{found: fmt.Sprintf("What role %s may do is not known: %s.", s.Order.RoleName, p.Unknown)}
	case len(p.Unclear) > 0:
		return breach{found: fmt.Sprintf("Not all policies of role %s can be judged: %s.", s.Order.RoleName, strings.Join(p.Unclear, "; "))}
	}
	return breach{}
}

// roleName wants the role that ECS expects, whatever the deployment's is. RAM tells
// no capitals apart.
func roleName(s Subject, l Limits) breach {
	name := s.Order.RoleName
	if !RoleName.MatchString(name) || strings.EqualFold(name, DefaultRole) || s.Permission != nil && s.Permission.Missing {
		return breach{}
	}
	switch {
	case strings.EqualFold(name, l.RoleName):
		return breach{
			found:  fmt.Sprintf("ECS is to write as role %s, the deployment's EXPORT_ROLE.", name),
			remedy: "Nothing, if ECS takes exports with it; else give roleName " + DefaultRole + ", or set EXPORT_ROLE of the deployment to it.",
		}
	case strings.EqualFold(l.RoleName, DefaultRole):
		return breach{found: fmt.Sprintf("ECS is to write as role %s.", name)}
	}
	return breach{
		found:  fmt.Sprintf("ECS is to write as role %s.", name),
		remedy: fmt.Sprintf("Give roleName %s; left out, it is the deployment's, %s.", DefaultRole, l.RoleName),
	}
}

// authorize is what to do, with the console's link where there is one.
func (s Subject) authorize(what string) string {
	if s.Permission.AuthorizeURL == "" {
		return ""
	}
	return fmt.Sprintf("%s with one click: %s. GET /authorization has both policies, for those who would rather do it themselves.", what, s.Permission.AuthorizeURL)
}

// shown is a name that somebody sent, which may be anything, for a sentence.
func shown(name string) string {
	const longest = 100
	if runes := []rune(name); len(runes) > longest {
		name = string(runes[:longest]) + "…"
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r == '"' || !unicode.IsGraphic(r) || unicode.IsSpace(r) }) || name == "" {
		return strconv.Quote(name)
	}
	return name
}
