//! The text of the built-in configuration.

use doproxy_core::domain::FleetName;
use doproxy_core::seams::ServerState::{Draining, Warming};

use crate::haproxy::HaProxy;
use crate::options::Options;
use crate::test_support::{server, server_in_state};
use crate::tests::harness::options;

#[test]
fn built_in_configuration_renders_as_expected() {
    let options = Options { fleet: Some(FleetName::parse("www").unwrap()), ..Options::new("/etc/haproxy/haproxy.cfg") };
    let haproxy = HaProxy::new(options).unwrap();

    let text = haproxy.render(&[server_in_state(Warming, 502_000_002), server(502_000_001)]).unwrap();

    insta::assert_snapshot!(text, @r#"
    # Written by doproxy for the fleet www. What is changed here is lost: change the template.

    global
        log /dev/log local0
        log /dev/log local1 notice
        chroot /var/lib/haproxy
        user haproxy
        group haproxy
        # Members of the group may read statistics and change servers: doproxy needs no root for that.
        stats socket /run/haproxy/admin.sock mode 660 level admin user haproxy group haproxy
        stats timeout 30s
        # Workers of before a reload end when their last connection does, and at the latest then.
        # Raise it for long-lived connections such as WebSockets.
        hard-stop-after 10m
        mworker-max-reloads 50
        spread-checks 5
        # A server that was down stays down over a reload, until a check passes.
        server-state-file /etc/haproxy/haproxy.cfg.state
        # For binds with `ssl`: Mozilla's intermediate profile.
        ssl-default-bind-ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305
        ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets

    defaults
        mode http
        log global
        option httplog
        option dontlognull
        option http-keep-alive
        http-reuse safe
        # A client that has gone does not wait in the queue.
        option abortonclose
        # Another server gets the request when one cannot be reached.
        option redispatch 1
        retries 3
        timeout connect 5s
        timeout client 1m
        timeout server 1m
        timeout http-request 10s
        timeout http-keep-alive 10s
        timeout queue 10s
        timeout tunnel 1h
        timeout client-fin 30s
        timeout check 3s
        load-server-state-from-file global

    frontend public
        bind *:80
        # A reload closes idle connections with a response, not in the client's face.
        option idle-close-on-response
        # Nobody but a proxy on this machine says who the client is, or that TLS was there.
        http-request del-header X-Forwarded-For unless { src 127.0.0.0/8 }
        option forwardfor except 127.0.0.0/8
        http-request set-header X-Forwarded-Proto https if { ssl_fc }
        http-request set-header X-Forwarded-Proto http if !{ ssl_fc } !{ src 127.0.0.0/8 }
        unique-id-format %[uuid]
        unique-id-header X-Request-ID
        default_backend droplets

    backend droplets
        # A dynamic algorithm: servers can come and go while HAProxy runs.
        balance leastconn
        option httpchk
        http-check send meth GET uri / ver HTTP/1.1 hdr Host localhost
        http-check expect status 200-399
        # What may have reached the application is sent again only where that is harmless.
        retry-on conn-failure empty-response 503
        http-request disable-l7-retry unless METH_GET
        # Every option is on the server's own line: servers that are added while HAProxy runs are made of that line alone.
        # node-502000001.example: serving
        server web-502000001 10.0.0.129:80 id 502000001 check inter 2s fastinter 250ms downinter 250ms fall 3 rise 2 weight 100 maxconn 200 slowstart 10s observe layer4 error-limit 20 on-error mark-down
        # node-502000002.example: warming
        server web-502000002 10.0.0.130:80 id 502000002 check inter 2s fastinter 250ms downinter 250ms fall 3 rise 2 weight 0 maxconn 200 slowstart 10s observe layer4 error-limit 20 on-error mark-down

    # doproxy: end
    "#);
}

#[tokio::test]
async fn haproxy_accepts_every_option() {
    let (_dir, options) = options().await;
    let debian = Options::new("/etc/haproxy/haproxy.cfg");
    let full = Options {
        prometheus_bind: Some("127.0.0.1:8404".into()),
        bind: vec!["*:80".into(), "[::1]:8080".into()],
        log: debian.log,
        run_as: debian.run_as,
        ..options.clone()
    };
    let mut six = server(6);
    six.address = "fd00::6".parse().unwrap();

    HaProxy::new(full).unwrap().check(&[server(7), server_in_state(Draining, 8), six]).await.unwrap();
    HaProxy::new(options).unwrap().check(&[]).await.unwrap();
}
