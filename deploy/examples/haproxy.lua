-- Shows: how HAProxy asks the sidecar for the partner's header; haproxy.cfg says where it goes.
--
-- HAProxy's user needs the right to write to the sidecar's socket (mode 0660); over TCP say "127.0.0.1:8181".
local sidecar = "unix@/run/token-sidecar/sidecar.sock"

core.register_action("partner_token", { "http-req" }, function(txn)
    -- Nothing of the app's request goes to the sidecar, X-Forwarded-* least of all: it refuses what was forwarded.
    local answer = core.httpclient():get {
        url = "http://localhost/v1/authorize",
        dst = sidecar,
        timeout = 60000,
        headers = {
            ["sidecar-request"] = { "true" },
            -- Where the sidecar wants a caller token:
            -- ["authorization"] = { "Bearer ..." },
        },
    }
    if answer.status == 200 then
        txn:set_var("txn.partner_token", answer.headers["accesstoken"][0])
    else
        local wait = answer.headers and answer.headers["retry-after"]
        txn:set_var("txn.token_retry_after", wait and wait[0] or "1")
    end
end)
