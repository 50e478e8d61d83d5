package railwaytest

import (
	"slices"
	"strings"
	"time"
)

// queries are the root fields of queries.
func (s *Server) queries() map[string]resolver {
	return map[string]resolver{
		"apiToken": apiToken, "me": me, "projectToken": projectTokenQuery, "projectTokens": projectTokens,
		"projects": projects, "project": projectQuery, "environments": environments, "environment": environmentQuery,
		"regions": regionsQuery, "platformStatus": platformStatusQuery,
		"deployment": deploymentQuery, "deployments": deployments, "deploymentEvents": deploymentEvents, "deploymentSnapshot": deploymentSnapshot,
		"serviceInstance": serviceInstance, "serviceInstanceAutoDeployStatus": autoDeployStatus,
		"serviceInstanceLimits": serviceInstanceLimits, "serviceInstanceLimitOverride": serviceInstanceLimitOverride, "template": templateQuery,
		"variables": variablesQuery, "variablesForServiceDeployment": variablesForDeployment,
		"environmentStagedChanges": environmentStagedChanges, "environmentPatches": environmentPatches,
		"environmentChangeSetApply": environmentChangeSetApply, "workflowStatus": workflowStatus,
		"volumeInstance": volumeInstanceQuery, "volumeInstanceBackupList": backupList, "volumeInstanceBackupScheduleList": backupScheduleList,
		"deploymentLogs": deploymentLogs, "buildLogs": buildLogs, "environmentLogs": environmentLogs, "httpLogs": httpLogs,
		"metrics": metrics, "httpMetricsGroupedByStatus": httpMetricsGroupedByStatus, "httpDurationMetrics": httpDurationMetrics,
		"domains": domainsQuery, "tcpProxies": tcpProxies,
		"notificationRules": notificationRules, "notificationDeliveries": notificationDeliveries,
	}
}

// mutations are the root fields of mutations.
func (s *Server) mutations() map[string]resolver {
	return map[string]resolver{
		"projectCreate": projectCreate, "projectDelete": projectDelete, "projectScheduleDelete": projectScheduleDelete,
		"environmentCreate": environmentCreate, "environmentDelete": environmentDelete, "environmentRename": environmentRename,
		"projectTokenCreate": projectTokenCreate, "projectTokenDelete": projectTokenDelete,
		"deploymentApprove": deploymentApprove, "deploymentCancel": deploymentCancel, "deploymentRedeploy": deploymentRedeploy,
		"deploymentRemove": deploymentRemove, "deploymentRestart": deploymentRestart, "deploymentRollback": deploymentRollback, "deploymentStop": deploymentStop,
		"serviceInstanceDeploy": serviceInstanceDeploy, "serviceInstanceDeployV2": serviceInstanceDeployV2, "serviceInstanceRedeploy": serviceInstanceRedeploy,
		"environmentTriggersDeploy": environmentTriggersDeploy, "githubRepoDeploy": githubRepoDeploy, "serviceInstanceAutoDeployUpdate": autoDeployUpdate,
		"serviceCreate": serviceCreate, "serviceConnect": serviceConnect, "serviceDelete": serviceDelete, "serviceInstanceUpdate": serviceInstanceUpdate,
		"serviceInstanceLimitsUpdate": serviceInstanceLimitsUpdate, "templateDeployV2": templateDeploy,
		"variableUpsert": variableUpsert, "variableCollectionUpsert": variableCollectionUpsert, "variableDelete": variableDelete, "sharedVariableConfigure": sharedVariableConfigure,
		"environmentStageChanges": environmentStageChanges, "environmentPatchCommitStaged": environmentPatchCommitStaged, "environmentPatchCommit": environmentPatchCommit,
		"environmentPreviewChangeSet": environmentPreviewChangeSet, "environmentApplyChangeSet": environmentApplyChangeSet,
		"volumeCreate": volumeCreate, "volumeInstanceUpdate": volumeInstanceUpdate, "volumeInstanceBackupCreate": backupCreate, "volumeInstanceBackupDelete": backupDelete,
		"volumeInstanceBackupLock": backupLock, "volumeInstanceBackupRestore": backupRestore, "volumeInstanceBackupScheduleUpdate": backupScheduleUpdate,
		"volumeInstancePITRRestore": pointInTimeRestore,
		"serviceDomainCreate":       serviceDomainCreate, "serviceDomainDelete": domainDelete("serviceDomainDelete"), "serviceDomainUpdate": serviceDomainUpdate,
		"customDomainCreate": customDomainCreate, "customDomainDelete": domainDelete("customDomainDelete"), "customDomainUpdate": customDomainUpdate,
		"customDomainIssueCertificate": customDomainIssueCertificate, "tcpProxyCreate": tcpProxyCreate, "tcpProxyDelete": domainDelete("tcpProxyDelete"),
		"notificationRuleCreate": notificationRuleCreate, "notificationRuleUpdate": notificationRuleUpdate, "notificationRuleDelete": notificationRuleDelete,
		"webhookTest": webhookTest,
	}
}

// me is answered to people only.
func me(r *request, _ args) (any, error) {
	if err := r.asPerson(); err != nil {
		return nil, err
	}
	w := r.world()
	return object{
		"id": "00000000-0000-4000-8000-00000000000a", "email": "ada@example.com", "name": "Ada",
		"workspaces": resolver(func(*request, args) (any, error) {
			var list []object
			for _, v := range w.workspaces.all {
				list = append(list, w.workspaceObject(v))
			}
			return list, nil
		}),
	}, nil
}

func (w *world) workspaceObject(v *workspace) object {
	return object{"id": v.id, "name": v.name, "projects": resolver(func(r *request, a args) (any, error) {
		return connect(w.projectsOf(r, v.id, false), a, func(p *project) string { return p.id }, w.projectObject)
	})}
}

func apiToken(r *request, _ args) (any, error) {
	if err := r.asMember(); err != nil {
		return nil, err
	}
	list := []object{}
	for _, v := range r.world().workspaces.all {
		if r.canWorkspace(v.id) == nil {
			list = append(list, object{"id": v.id, "name": v.name})
		}
	}
	return object{"workspaces": list}, nil
}

// projectsOf lists the projects of a workspace that the request may see.
func (w *world) projectsOf(r *request, workspace string, deleted bool) (all []*project) {
	for _, p := range w.projects.all {
		if p.workspace == workspace && r.canProject(p.id) == nil && (deleted || p.deleted.IsZero()) {
			all = append(all, p)
		}
	}
	return all
}

// projects lists nothing useful without a workspace.
func projects(r *request, a args) (any, error) {
	w := r.world()
	if err := r.asMember(); err != nil {
		return nil, err
	}
	workspace := a.text("workspaceId")
	if workspace == "" && r.token.Kind == "workspace" {
		workspace = r.token.Workspace
	}
	if workspace != "" {
		if err := r.canWorkspace(workspace); err != nil {
			return nil, err
		}
	}
	return connect(w.projectsOf(r, workspace, a.flag("includeDeleted")), a, func(p *project) string { return p.id }, w.projectObject)
}

func projectQuery(r *request, a args) (any, error) {
	w, p, err := r.project(a.text("id"))
	if err != nil {
		return nil, err
	}
	return w.projectObject(p), nil
}

func (w *world) projectObject(p *project) object {
	o := object{
		"id": p.id, "name": p.name, "workspaceId": p.workspace, "createdAt": p.created, "deletedAt": p.deleted,
		"environments": resolver(func(r *request, a args) (any, error) {
			return connect(w.seenEnvironments(r, p.id), a, func(e *environment) string { return e.id }, w.environmentObject)
		}),
		"services": resolver(func(_ *request, a args) (any, error) {
			var all []*service
			for _, v := range w.services.all {
				if v.project == p.id {
					all = append(all, v)
				}
			}
			return connect(all, a, func(v *service) string { return v.id }, (*service).object)
		}),
		"volumes": resolver(func(_ *request, a args) (any, error) {
			var all []*volume
			for _, v := range w.volumes.all {
				if v.project == p.id {
					all = append(all, v)
				}
			}
			return connect(all, a, func(v *volume) string { return v.id }, (*volume).object)
		}),
	}
	if all := w.environmentsOf(p.id); len(all) > 0 {
		o["primaryEnvironmentId"] = all[0].id
	}
	return o
}

func (v *service) object() object {
	return object{"id": v.id, "name": v.name, "deletedAt": v.deleted}
}

// seenEnvironments are those of a project, deleted ones too, that a request is shown.
func (w *world) seenEnvironments(r *request, project string) (all []*environment) {
	for _, e := range w.environments.all {
		if e.project == project && r.canEnvironment(e.id) == nil {
			all = append(all, e)
		}
	}
	return all
}

func environments(r *request, a args) (any, error) {
	w, p, err := r.project(a.text("projectId"))
	if err != nil {
		return nil, err
	}
	return connect(w.seenEnvironments(r, p.id), a, func(e *environment) string { return e.id }, w.environmentObject)
}

func environmentQuery(r *request, a args) (any, error) {
	w, e, err := r.env(a.text("id"))
	if err != nil {
		return nil, err
	}
	if a.has("projectId") && a.text("projectId") != e.project {
		return nil, notFound("Environment")
	}
	return w.environmentObject(e), nil
}

func (w *world) environmentObject(e *environment) object {
	unmerged := 0
	if e.staged != nil {
		unmerged = leaves(e.staged.tree)
	}
	return object{
		"id": e.id, "projectId": e.project, "name": e.name, "createdAt": e.created, "updatedAt": e.updated, "deletedAt": e.deleted,
		"isEphemeral": e.ephemeral, "canAccess": !e.restricted, "unmergedChangesCount": unmerged, "canvasGroupRefs": tree{},
		"config":     guarded(e, func(_ *request, a args) (any, error) { return masked(e.config, a.flag("decryptVariables")), nil }),
		"configEtag": guarded(e, func(*request, args) (any, error) { return etag(e.config), nil }),
		"variables":  guarded(e, e.variablesConnection),
		"serviceInstances": guarded(e, func(_ *request, a args) (any, error) {
			return connect(e.instances.all, a, func(i *instance) string { return i.id }, w.instanceObject)
		}),
		"volumeInstances": guarded(e, func(_ *request, a args) (any, error) {
			return connect(w.mountsIn(e.id), a, func(v *volumeInstance) string { return v.id }, w.volumeInstanceObject)
		}),
		"deployments": guarded(e, func(_ *request, a args) (any, error) {
			all := w.listed(func(d *deployment) bool { return d.of.env == e })
			return connect(all, a, func(d *deployment) string { return d.id }, w.deploymentObject)
		}),
	}
}

// guarded is what is in an environment, which not everybody may see who sees that
// there is one.
func guarded(e *environment, of resolver) resolver {
	return func(r *request, a args) (any, error) {
		if e.restricted {
			return nil, errNotAuthorized
		}
		return of(r, a)
	}
}

// region is a place to run in.
type region struct {
	name, location, country string
	deprecated              bool
}

const defaultRegion = "us-west2"

// allRegions are the regions, https://docs.railway.com/deployments/regions, and one
// of the former ones.
func allRegions() []region {
	return []region{
		{"us-west2", "California, USA", "US", false},
		{"us-east4-eqdc4a", "Virginia, USA", "US", false},
		{"europe-west4-drams3a", "Amsterdam, Netherlands", "NL", false},
		{"asia-southeast1-eqsg3a", "Singapore", "SG", false},
		{"us-west1", "Oregon, USA", "US", true},
	}
}

func regionIsOpen(name string) bool {
	return slices.ContainsFunc(allRegions(), func(v region) bool { return v.name == name && !v.deprecated })
}

func regionsQuery(r *request, a args) (any, error) {
	if a.has("projectId") {
		if _, _, err := r.project(a.text("projectId")); err != nil {
			return nil, err
		}
	}
	var list []object
	for _, v := range allRegions() {
		o := object{"name": v.name, "region": strings.SplitN(v.name, "-", 3)[0], "location": v.location, "country": v.country}
		if v.deprecated {
			o["deploymentConstraints"] = object{"deprecationInfo": object{"isDeprecated": true}}
		}
		list = append(list, o)
	}
	return list, nil
}

// platformStatus is what Railway says of itself.
type platformStatus struct {
	stable   bool
	incident object
}

// SetPlatformStatus makes the platform say that it is stable or not, and that it has
// an incident, unless the text is empty.
func (s *Server) SetPlatformStatus(stable bool, incident string) {
	defer s.lock()()
	s.world.platform = platformStatus{stable: stable}
	if incident != "" {
		s.world.platform.incident = object{
			"id": newID(), "message": incident, "status": "INVESTIGATING", "url": "https://status.railway.com/incident", "createdAt": time.Now(),
		}
	}
}

func platformStatusQuery(r *request, _ args) (any, error) {
	p := r.world().platform
	return object{"isStable": p.stable, "incident": nilable(p.incident)}, nil
}
