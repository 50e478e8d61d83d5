package railway

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// DomainKind is what sort of address it is.
type DomainKind string

// The kinds of addresses.
const (
	// RailwayDomain is a name that Railway gives, such as web-production.up.railway.app.
	RailwayDomain DomainKind = "railway"
	// CustomDomain is a name of ours, whose DNS records have to point to Railway.
	CustomDomain DomainKind = "custom"
	// TCPProxy is a port of a host of Railway's that is passed on as it is, for what
	// does not speak HTTP: a database.
	TCPProxy DomainKind = "tcp"
)

// A Domain is an address at which a service can be reached from outside.
type Domain struct {
	// Kind is what sort of address it is, and ID what Railway calls it.
	Kind DomainKind
	ID   string
	// Name is the host name.
	Name string
	// Port is the port of the application; 0 means that Railway finds it out. A TCP
	// proxy must have one.
	Port int
	// PublicPort is the port from outside: of a TCP proxy, and else 443.
	PublicPort int
	// State is how far it is, in Railway's word in lower case: "active" or "creating",
	// and of a custom domain that of its certificate, "valid", "issuing",
	// "validating ownership" or "issue failed".
	State string
	// Ready says that it works, as far as Railway knows.
	Ready bool
	// Problem says why there is no certificate; empty if Railway does not say.
	Problem string
	// Records are the DNS records that a custom domain needs.
	Records []DNSRecord
}

// DNSRecord is a record that has to be in the DNS.
type DNSRecord struct {
	// Type is its type, "CNAME" or "TXT", Name its full name.
	Type, Name string
	// Required is what it must be, Current what Railway found; empty if nothing.
	Required, Current string
	// OK says that it is as it must be, as far as Railway has seen.
	OK bool
}

// Domains returns all addresses of the service: Railway's, custom ones, and TCP
// proxies. It is one call.
func (s *Service) Domains(ctx context.Context) ([]Domain, error) {
	return s.domains(ctx, s.c.op("list the domains of service %s", s))
}

func (s *Service) domains(ctx context.Context, o op) (all []Domain, err error) {
	got, err := gql.Domains(ctx, o, s.project, s.environment, s.id)
	if err != nil {
		return nil, err
	}
	for _, d := range got.Domains.ServiceDomains {
		all = append(all, synced(Domain{Kind: RailwayDomain, ID: d.Id, Name: d.Domain, Port: number(d.TargetPort), PublicPort: 443}, string(d.SyncStatus)))
	}
	for _, d := range got.Domains.CustomDomains {
		all = append(all, customOf(d))
	}
	for _, p := range got.TcpProxies {
		all = append(all, synced(Domain{Kind: TCPProxy, ID: p.Id, Name: p.Domain, Port: p.ApplicationPort, PublicPort: p.ProxyPort}, string(p.SyncStatus)))
	}
	// What is being deleted is no longer an address.
	return slices.DeleteFunc(all, func(d Domain) bool { return d.State == "deleting" || d.State == "deleted" }), nil
}

func synced(d Domain, status string) Domain {
	d.State = strings.ToLower(status)
	d.Ready = d.State == "active"
	return d
}

func customOf(d *gql.DomainsDomainsAllDomainsCustomDomainsCustomDomain) Domain {
	out := Domain{Kind: CustomDomain, ID: d.Id, Name: d.Domain, Port: number(d.TargetPort), PublicPort: 443}
	out.State = words(string(d.Status.CertificateStatus), "CERTIFICATE_STATUS_TYPE_")
	out.Ready = out.State == "valid" && d.Status.Verified
	out.Problem = printable(gql.Text(d.Status.CertificateErrorMessage), maxText)
	for _, r := range d.Status.DnsRecords {
		out.Records = append(out.Records, DNSRecord{
			Type: strings.TrimPrefix(string(r.RecordType), "DNS_RECORD_TYPE_"), Name: r.Fqdn, Required: r.RequiredValue, Current: r.CurrentValue,
			OK: r.Status == gql.DNSRecordStatusDnsRecordStatusPropagated,
		})
	}
	if host := gql.Text(d.Status.VerificationDnsHost); host != "" {
		out.Records = append(out.Records, DNSRecord{Type: "TXT", Name: host, Required: gql.Text(d.Status.VerificationToken), OK: d.Status.Verified})
	}
	return out
}

// words turns a value of an enum into words.
func words(value, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(value, prefix), "_", " "))
}

func number(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

// CreateDomain makes an address for the service and returns it as it was read
// afterwards. Of d count the Kind, the Port, and the Name of a custom domain, whose
// Records then say what has to go into the DNS. A custom domain, and a TCP proxy for
// a port, that are there already are returned, and nothing is made. A TCP proxy is
// made by a commit of the environment's configuration, which may deploy the service.
//
// After a lost answer the addresses are read. If they do not tell, the error is an
// incident.ErrOutcomeUnknown.
func (s *Service) CreateDomain(ctx context.Context, d Domain) (Domain, error) {
	o := s.c.op("create a %s domain of service %s", string(d.Kind), s)
	if err := d.validate(o); err != nil {
		return Domain{}, err
	}
	before, err := s.domains(ctx, o)
	if err != nil {
		return Domain{}, err
	}
	if i := slices.IndexFunc(before, d.same); i >= 0 {
		return before[i], nil
	}
	id, err := s.createDomain(ctx, o, d)
	if err != nil && !maybeRun(err) {
		return Domain{}, err
	}
	var made Domain
	err = o.confirm(ctx, err, "look at the domains of the service", func(ctx context.Context) (bool, error) {
		now, err := s.domains(ctx, o)
		if err != nil {
			return false, err
		}
		made, err = d.among(o, now, before, id)
		return made.ID != "", err
	})
	return made, err
}

func (d Domain) validate(o op) error {
	switch {
	case d.Kind != RailwayDomain && d.Kind != CustomDomain && d.Kind != TCPProxy:
		return o.refuse(nil, "the kind must be %s, %s or %s", string(RailwayDomain), string(CustomDomain), string(TCPProxy))
	case d.Kind == CustomDomain && (d.Name == "" || strings.ContainsAny(d.Name, "/: ")):
		return o.refuse(nil, "a custom domain needs a host name")
	case d.Port < 0 || d.Port > 65535 || d.Kind == TCPProxy && d.Port == 0:
		return o.refuse(nil, "port %d cannot be", d.Port)
	}
	return nil
}

// same reports whether an address is the one that d asks for. Of those that Railway
// names there may be several.
func (d Domain) same(is Domain) bool {
	switch {
	case d.Kind != is.Kind || d.Kind == RailwayDomain:
		return false
	case d.Kind == TCPProxy:
		return d.Port == is.Port
	}
	return strings.EqualFold(d.Name, is.Name)
}

// createDomain sends the change and returns the ID, where the answer has it.
func (s *Service) createDomain(ctx context.Context, o op, d Domain) (id string, err error) {
	var port *int
	if d.Port != 0 {
		port = &d.Port
	}
	switch d.Kind {
	case RailwayDomain:
		got, err := gql.ServiceDomainCreate(ctx, o, s.environment, s.id, port)
		if err != nil {
			return "", err
		}
		return got.ServiceDomainCreate.Id, nil
	case CustomDomain:
		got, err := gql.CustomDomainCreate(ctx, o, s.project, s.environment, s.id, d.Name, port)
		if err != nil {
			return "", err
		}
		return got.CustomDomainCreate.Id, nil
	}
	// The mutation for it is deprecated.
	type m map[string]any
	patch := m{"services": m{s.id: m{"networking": m{"tcpProxies": m{strconv.Itoa(d.Port): m{}}}}}}
	return "", s.env.commitPatch(ctx, o, patch, "TCP proxy for port "+strconv.Itoa(d.Port))
}

// among finds the address that was made: by its ID if that is known, and else as the
// one that is new and as it was asked for.
func (d Domain) among(o op, now, before []Domain, id string) (Domain, error) {
	var found []Domain
	for _, is := range now {
		old := slices.ContainsFunc(before, func(b Domain) bool { return b.ID == is.ID })
		like := d.same(is) || d.Kind == RailwayDomain && is.Kind == RailwayDomain && (d.Port == 0 || d.Port == is.Port)
		if is.ID == id && id != "" || id == "" && !old && like {
			found = append(found, is)
		}
	}
	switch len(found) {
	case 0:
		return Domain{}, nil
	case 1:
		return found[0], nil
	}
	return Domain{}, o.refuse(nil, "several domains are new")
}

// DeleteDomain deletes an address of the service, by its ID. The error is an
// incident.ErrNotFound if the service has none of that ID. After a lost answer the
// addresses are read, and decide; if they do not, the error is an
// incident.ErrOutcomeUnknown.
func (s *Service) DeleteDomain(ctx context.Context, id string) error {
	o := s.c.op("delete domain %s of service %s", id, s)
	d, err := s.domain(ctx, o, id)
	if err != nil {
		return err
	}
	switch d.Kind {
	case RailwayDomain:
		_, err = gql.ServiceDomainDelete(ctx, o, id)
	case CustomDomain:
		_, err = gql.CustomDomainDelete(ctx, o, id)
	default:
		_, err = gql.TCPProxyDelete(ctx, o, id)
	}
	if err != nil && !maybeRun(err) {
		return err
	}
	return o.confirm(ctx, err, "look at the domains of the service", func(ctx context.Context) (bool, error) {
		now, err := s.domains(ctx, o)
		return !slices.ContainsFunc(now, func(d Domain) bool { return d.ID == id }), err
	})
}

// domain returns the address of an ID.
func (s *Service) domain(ctx context.Context, o op, id string) (Domain, error) {
	all, err := s.domains(ctx, o)
	if err != nil {
		return Domain{}, err
	}
	i := slices.IndexFunc(all, func(d Domain) bool { return d.ID == id })
	if i < 0 {
		return Domain{}, o.refuse(incident.ErrNotFound, "the service has no such domain")
	}
	return all[i], nil
}

// IssueCertificate has Railway try again to get a certificate for a custom domain, by
// its ID, and returns the domain as it was read afterwards. It is of use when the DNS
// records were mended after it had failed. The error is an incident.ErrNotFound if
// the service has no custom domain of that ID. If the answer is lost and the state
// does not tell, the error is an incident.ErrOutcomeUnknown; asking again is safe.
func (s *Service) IssueCertificate(ctx context.Context, id string) (Domain, error) {
	o := s.c.op("issue the certificate of domain %s", id)
	d, err := s.domain(ctx, o, id)
	switch {
	case err != nil:
		return Domain{}, err
	case d.Kind != CustomDomain:
		return Domain{}, o.refuse(incident.ErrNotFound, "it is no custom domain")
	}
	got, cause := gql.CustomDomainIssueCertificate(ctx, o, id)
	switch {
	case cause == nil && !got.CustomDomainIssueCertificate:
		return d, o.answered(false, nil)
	case cause != nil && !maybeRun(cause):
		return Domain{}, cause
	}
	err = o.confirm(ctx, cause, "look at the domain, or ask again", func(ctx context.Context) (bool, error) {
		d, err = s.domain(ctx, o, id)
		return cause == nil || d.State == "issuing" || d.State == "validating ownership" || d.State == "valid", err
	})
	return d, err
}
