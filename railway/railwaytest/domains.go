package railwaytest

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// domain is a domain of a service, or a TCP proxy to it if it has a proxyPort.
type domain struct {
	id, environment, service, name string
	port, proxyPort                int
	custom, issued                 bool
}

func (w *world) addServiceDomain(i *instance, port int) *domain {
	d := &domain{id: newID(), environment: i.env.id, service: i.service.id, port: port}
	d.name = strings.ToLower(strings.ReplaceAll(i.service.name, " ", "-")) + "-" + strings.ToLower(i.env.name) + "-" + d.id[:4] + ".up.railway.app"
	w.domains.add(d.id, d)
	return d
}

// domainsOf are the domains of a service.
func (w *world) domainsOf(i *instance) object {
	own, custom := []object{}, []object{}
	for _, d := range w.domains.all {
		switch {
		case d.environment != i.env.id || d.service != i.service.id || d.proxyPort != 0:
		case d.custom:
			custom = append(custom, d.object())
		default:
			own = append(own, d.object())
		}
	}
	return object{"serviceDomains": own, "customDomains": custom}
}

func (d *domain) object() object {
	o := object{"id": d.id, "domain": d.name}
	if d.port != 0 {
		o["targetPort"] = d.port
	}
	if !d.custom {
		o["suffix"], o["syncStatus"] = "up.railway.app", "ACTIVE"
		return o
	}
	record := object{
		"fqdn": d.name, "recordType": "DNS_RECORD_TYPE_CNAME", "requiredValue": d.id[:8] + ".up.railway.app", "currentValue": "",
		"status": "DNS_RECORD_STATUS_REQUIRES_UPDATE",
	}
	status := object{
		"verified": d.issued, "certificateStatus": "CERTIFICATE_STATUS_TYPE_VALIDATING_OWNERSHIP",
		"verificationDnsHost": "_railway-verify." + d.name, "verificationToken": "railway-verify=" + d.id[:8],
	}
	if d.issued {
		record["currentValue"], record["status"] = record["requiredValue"], "DNS_RECORD_STATUS_PROPAGATED"
		status["certificateStatus"] = "CERTIFICATE_STATUS_TYPE_VALID"
	}
	status["dnsRecords"] = []object{record}
	o["status"] = status
	return o
}

func domainsQuery(r *request, a args) (any, error) {
	w, i, err := r.instance(a.text("environmentId"), a.text("serviceId"))
	if err != nil {
		return nil, err
	}
	if i.env.project != a.text("projectId") {
		return nil, notFound("Project")
	}
	return w.domainsOf(i), nil
}

func tcpProxies(r *request, a args) (any, error) {
	w, i, err := r.instance(a.text("environmentId"), a.text("serviceId"))
	if err != nil {
		return nil, err
	}
	list := []object{}
	for _, d := range w.domains.all {
		if d.environment == i.env.id && d.service == i.service.id && d.proxyPort != 0 {
			list = append(list, d.proxy())
		}
	}
	return list, nil
}

func (d *domain) proxy() object {
	return object{"id": d.id, "domain": d.name, "proxyPort": d.proxyPort, "applicationPort": d.port, "syncStatus": "ACTIVE"}
}

func serviceDomainCreate(r *request, a args) (any, error) {
	in := a.object("input")
	w, i, err := r.instance(in.text("environmentId"), in.text("serviceId"))
	if err != nil {
		return nil, err
	}
	d := w.addServiceDomain(i, in.number("targetPort", 0))
	r.s.effect("serviceDomainCreate %s", d.id)
	return d.object(), nil
}

func customDomainCreate(r *request, a args) (any, error) {
	in := a.object("input")
	w, i, err := r.instance(in.text("environmentId"), in.text("serviceId"))
	if err != nil {
		return nil, err
	}
	if i.env.project != in.text("projectId") {
		return nil, notFound("Project")
	}
	name := strings.ToLower(in.text("domain"))
	if !strings.Contains(name, ".") || w.domainNamed(name) != nil {
		return nil, badInput("Domain is not available")
	}
	d := &domain{id: newID(), environment: i.env.id, service: i.service.id, name: name, port: in.number("targetPort", 0), custom: true}
	w.domains.add(d.id, d)
	r.s.effect("customDomainCreate %s", d.id)
	return d.object(), nil
}

func (w *world) domainNamed(name string) *domain {
	for _, d := range w.domains.all {
		if d.name == name && d.proxyPort == 0 {
			return d
		}
	}
	return nil
}

// domain returns a domain that the request may change.
func (r *request) domain(id string) (*world, *domain, error) {
	w := r.world()
	d := w.domains.get(id)
	if d == nil {
		return nil, nil, r.missing("Domain")
	}
	if _, _, err := r.env(d.environment); err != nil {
		return nil, nil, err
	}
	return w, d, nil
}

func serviceDomainUpdate(r *request, a args) (any, error) {
	in := a.object("input")
	w, d, err := r.domain(in.text("serviceDomainId"))
	if err != nil {
		return nil, err
	}
	name := in.text("domain")
	if other := w.domainNamed(name); d.custom || other != nil && other != d || !strings.HasSuffix(name, ".up.railway.app") {
		return nil, badInput("Domain is not available")
	}
	d.name, d.port = name, in.number("targetPort", d.port)
	r.s.effect("serviceDomainUpdate %s", d.id)
	return true, nil
}

func customDomainUpdate(r *request, a args) (any, error) {
	_, d, err := r.domain(a.text("id"))
	if err != nil {
		return nil, err
	}
	d.port = a.number("targetPort", d.port)
	r.s.effect("customDomainUpdate %s", d.id)
	return true, nil
}

// customDomainIssueCertificate looks whether the records are there by now, which
// they are after a while.
func customDomainIssueCertificate(r *request, a args) (any, error) {
	w, d, err := r.domain(a.text("id"))
	if err != nil {
		return nil, err
	}
	w.after(time.Minute, func() { d.issued = true })
	r.s.effect("customDomainIssueCertificate %s", d.id)
	return true, nil
}

func domainDelete(name string) resolver {
	return func(r *request, a args) (any, error) {
		w, d, err := r.domain(a.text("id"))
		if err != nil {
			return nil, err
		}
		w.domains.remove(d.id)
		r.s.effect("%s %s", name, d.id)
		return true, nil
	}
}

func tcpProxyCreate(r *request, a args) (any, error) {
	in := a.object("input")
	w, i, err := r.instance(in.text("environmentId"), in.text("serviceId"))
	if err != nil {
		return nil, err
	}
	d := w.addProxy(i, in.number("applicationPort", 0))
	r.s.effect("tcpProxyCreate %s", d.id)
	return d.proxy(), nil
}

// setProxies brings the TCP proxies of a service to what a patch says of ports.
func (w *world) setProxies(i *instance, ports tree) {
	for text, value := range ports {
		port, err := strconv.Atoi(text)
		at := slices.IndexFunc(w.domains.all, func(d *domain) bool {
			return d.environment == i.env.id && d.service == i.service.id && d.proxyPort != 0 && d.port == port
		})
		switch {
		case err != nil:
		case value == nil && at >= 0:
			w.domains.remove(w.domains.all[at].id)
		case value != nil && at < 0:
			w.addProxy(i, port)
		}
	}
}

func (w *world) addProxy(i *instance, port int) *domain {
	d := &domain{
		id: newID(), environment: i.env.id, service: i.service.id, name: "gondola.proxy.rlwy.net", port: port, proxyPort: 20000 + len(w.domains.all),
	}
	w.domains.add(d.id, d)
	return d
}
