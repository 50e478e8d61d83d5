#!/bin/bash
# The runbook's own Morning Health Check Routine, Canvas API Health Monitoring and
# User Activity Monitoring, with their texts. Adapted: the addresses are those of
# its Key URLs; curl gets what leads it to loopback, from the environment
# ($CONNECT, $CACERT), and the environment's token for /health/metrics;
# health-check.sh and performance-check.sh, which the runbook calls but does not
# show, are written with the same means; alert.sh is an echo.

token_of() { local name="QA_AUTOMATION_${1^^}_TOKEN"; TOKEN=${!name}; }

curl() { command curl --cacert "$CACERT" $CONNECT -H "Authorization: Bearer $TOKEN" "$@"; }

declare -A URLS=(
    [test]="https://qa-automation-test.railway.app"
    [beta]="https://qa-automation-beta.railway.app"
    [production]="https://qa-automation.acu.edu.au"
)

health_check() { curl -sf "${URLS[$1]}/health" | jq -e '.status == "healthy"' > /dev/null; }

performance_check() {
    token_of $1
    for sample in 1 2 3 4 5; do
        curl -s -o /dev/null -w '%{time_total}\n' "${URLS[$1]}/health"
    done
    curl -s "${URLS[$1]}/health/metrics" | jq -r '.memory_usage_mb, .recent_errors'
}

echo "🌅 Starting morning health check routine..."

ENVIRONMENTS=("test" "beta" "production")

for env in "${ENVIRONMENTS[@]}"; do
    echo "🏥 Checking $env environment..."
    if health_check $env; then
        echo "✅ $env: Healthy"
    else
        echo "🚨 $env: Issues detected"
        echo "$env environment health check failed"
    fi
    performance_check $env
done

echo "✅ Morning health check completed"

echo "🎨 Checking Canvas API health..."

declare -A INSTANCES=([test]="test" [beta]="beta" [production]="prod")

for env in "${ENVIRONMENTS[@]}"; do
    instance=${INSTANCES[$env]}
    HEALTH_RESPONSE=$(curl -s "${URLS[$env]}/health/canvas?instance=$instance")
    STATUS=$(echo "$HEALTH_RESPONSE" | jq -r '.status')
    if [ "$STATUS" = "healthy" ]; then
        echo "✅ Canvas $instance: Healthy"
    else
        echo "🚨 Canvas $instance: $STATUS"
        echo "$HEALTH_RESPONSE" | jq '.canvas_details'
    fi
done

echo "👥 Monitoring user activity..."
token_of production

ACTIVE_SESSIONS=$(curl -s "${URLS[production]}/health/metrics" | jq -r '.active_sessions')
echo "Active sessions: $ACTIVE_SESSIONS"

ACTIVE_TASKS=$(curl -s "${URLS[production]}/health/metrics" | jq -r '.active_qa_tasks')
echo "Active QA tasks: $ACTIVE_TASKS"

ERROR_COUNT=$(curl -s "${URLS[production]}/health/metrics" | jq -r '.recent_errors')
if [ "$ERROR_COUNT" -gt 5 ]; then
    echo "⚠️ High error count: $ERROR_COUNT"
    echo "High error count detected: $ERROR_COUNT errors"
fi
echo "Recent errors: $ERROR_COUNT"
