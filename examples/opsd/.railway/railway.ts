// What opsd needs on Railway, as Railway reads it today: railway config plan, and then
// railway config apply, which asks first. Link it to a project of its own: an apply deletes
// what is not declared here. And do not let this be the only opsd if it watches what runs on
// Railway: when Railway is down, so is it.
import { defineRailway, github, preserve, project, service, volume } from "railway/iac";

export default defineRailway(() => {
  // The state. A volume belongs to one process: for several give opsd a PostgreSQL database
  // that it does not watch, as state.postgres.
  const state = volume("opsd-state", { sizeMB: 5000 });

  const opsd = service("opsd", {
    source: github("acu/runbook", { branch: "main" }),
    build: { builder: "DOCKERFILE", dockerfilePath: "examples/opsd/Dockerfile" },
    deploy: {
      healthcheckPath: "/readyz",
      healthcheckTimeout: 60,
      restartPolicyType: "ALWAYS",
      // The one before stops first: one process has the state. What is under way has this
      // long to end.
      overlapSeconds: 0,
      drainingSeconds: 40,
    },
    volumeMounts: { "/state": state },
    env: {
      OPSD_CONFIG: "/state/opsd.yaml",
      // Volumes belong to root there.
      RAILWAY_RUN_UID: "0",
      // The port on which Railway asks whether it is well: give server.listen as "[::]:8787".
      PORT: "8787",
      // Secrets are set with railway variables, and stay as they are: these are those that the
      // configuration of opsd init names. What another one names must be here too, since an
      // apply deletes what is not declared.
      OPSD_TOKEN_ANA: preserve(),
      OPSD_TOKEN_BEN: preserve(),
      OPSD_TOKEN_DEV: preserve(),
      OPSD_CLIENT_SECRET: preserve(),
      OPSD_SESSION_KEY: preserve(),
      SLACK_BOT_TOKEN: preserve(),
      SMTP_PASSWORD: preserve(),
      TWILIO_ACCOUNT_SID: preserve(),
      TWILIO_AUTH_TOKEN: preserve(),
      JIRA_TOKEN: preserve(),
      SLACK_SIGNING_SECRET: preserve(),
      OPSD_HEARTBEAT_TOKEN: preserve(),
      RAILWAY_HOOK_SECRET: preserve(),
      OPSD_HEARTBEAT_URL: preserve(),
      OTLP_AUTHORIZATION: preserve(),
      OPSD_PSEUDONYMS: preserve(),
      QA_TEST_TOKEN: preserve(),
      CANVAS_TEST_TOKEN: preserve(),
      QA_BETA_TOKEN: preserve(),
      CANVAS_BETA_TOKEN: preserve(),
      QA_PRODUCTION_TOKEN: preserve(),
      RAILWAY_TOKEN: preserve(),
      CANVAS_PRODUCTION_TOKEN: preserve(),
      QA_DATABASE_URL: preserve(),
      QA_REDIS_URL: preserve(),
      QA_REHEARSAL_URL: preserve(),
    },
  });

  return project("opsd", { resources: [opsd, state] });
});
