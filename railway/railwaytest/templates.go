package railwaytest

import (
	"maps"
	"slices"
	"strings"
)

// postgresTemplate is the database that can be made from a template.
const postgresTemplate = "00000000-0000-4000-8000-0000000000d8"

func templateQuery(_ *request, a args) (any, error) {
	if a.text("code") != "postgres" {
		return nil, notFound("Template")
	}
	return object{"id": postgresTemplate, "name": "Postgres", "serializedConfig": tree{"services": tree{
		"00000000-0000-4000-8000-0000000000d9": tree{
			"name": "Postgres", "icon": "https://devicons.railway.app/i/postgresql.svg",
			"source": tree{"image": "ghcr.io/railwayapp-templates/postgres-ssl:17"},
			"deploy": tree{"healthcheckPath": nil, "startCommand": nil},
			"variables": tree{
				"PGDATA":            tree{"defaultValue": "/var/lib/postgresql/data/pgdata"},
				"POSTGRES_USER":     tree{"defaultValue": "postgres"},
				"POSTGRES_DB":       tree{"defaultValue": "railway"},
				"POSTGRES_PASSWORD": tree{"defaultValue": "${{ secret(32) }}"},
				"DATABASE_URL":      tree{"defaultValue": "postgresql://${{POSTGRES_USER}}:${{POSTGRES_PASSWORD}}@${{RAILWAY_PRIVATE_DOMAIN}}:5432/${{POSTGRES_DB}}"},
			},
			"volumeMounts": tree{"00000000-0000-4000-8000-0000000000da": tree{"mountPath": "/var/lib/postgresql/data"}},
		},
	}}}, nil
}

// templateDeploy makes the services of a template, by a workflow.
func templateDeploy(r *request, a args) (any, error) {
	in := a.object("input")
	w, p, err := r.project(in.text("projectId"))
	if err != nil {
		return nil, err
	}
	_, e, err := r.env(in.text("environmentId"))
	if err != nil {
		return nil, err
	}
	config, ok := in["serializedConfig"].(map[string]any)
	services := child(config, "services")
	if !ok || in.text("templateId") != postgresTemplate || e.project != p.id {
		return nil, notFound("Template")
	}
	services = plainTree(services)
	f := w.start("deployTemplate/"+newID(), func() string {
		for _, id := range slices.Sorted(maps.Keys(services)) {
			w.fromTemplate(e, child(services, id))
		}
		return ""
	})
	r.s.effect("templateDeployV2 %s", e.id)
	return object{"projectId": p.id, "workflowId": f.id}, nil
}

func (w *world) fromTemplate(e *environment, settings tree) {
	name := text(settings, "name")
	for w.serviceNamed(e.project, name) != nil {
		name = text(settings, "name") + "-" + newID()[:4]
	}
	given := Service{Name: name, Image: text(settings, "source", "image"), Variables: map[string]string{}}
	for name := range child(settings, "variables") {
		v := child(settings, "variables", name)
		value, ok := v["value"].(string)
		if !ok {
			value = text(v, "defaultValue")
		}
		given.Variables[name] = strings.ReplaceAll(value, "${{ secret(32) }}", strings.ReplaceAll(newID(), "-", ""))
	}
	v := w.addService(e.project, name)
	i := w.addInstance(e, v)
	w.commit(e, at(settingsOf(given), "services", v.id))
	for id := range child(settings, "volumeMounts") {
		w.addMount(e, Volume{Name: strings.ToLower(name) + "-volume", MountPath: text(settings, "volumeMounts", id, "mountPath")}, v.id)
	}
	w.deploy(i, w.latest(i))
}
