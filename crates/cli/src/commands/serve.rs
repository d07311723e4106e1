//! `converge serve`: the page.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use converge_dashboard::web::{Host, Page, serve};
use converge_scheduler::home::Home;
use converge_scheduler::launcher::browser;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::ServeArguments;
use crate::exit_code::ExitCode;
use crate::operator::HomeOperator;
use crate::report::Report;
use crate::{home as homes, output};

/// How long requests that are being answered may take when the page ends.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Runs the command.
pub(crate) fn run(arguments: &ServeArguments, home: &Home) -> Result<ExitCode, Report> {
    // A home that cannot be read says so here, and not in the browser.
    homes::open(home)?;
    let token = if arguments.read_only { None } else { Some(random_token()?) };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(until_interrupted(arguments, home, token));
    runtime.shutdown_timeout(LAST_ANSWERS);
    served
}

async fn until_interrupted(
    arguments: &ServeArguments,
    home: &Home,
    token: Option<String>,
) -> Result<ExitCode, Report> {
    let address = address(&arguments.host, arguments.port)?;
    let listener = TcpListener::bind(address).await.map_err(|error| taken(&error, address))?;
    let address = listener.local_addr()?;
    let name = name(address.ip(), &arguments.host);
    let page = Page {
        database: home.database(),
        home: home.root().display().to_string(),
        version: env!("CARGO_PKG_VERSION"),
        operator: Arc::new(HomeOperator { home: home.clone() }),
        token: token.clone(),
        host: Host { address: address.ip(), name: name.clone() },
    };
    let url = url(address, name.as_deref(), token.as_deref());
    if !address.ip().is_loopback() {
        output::talk(
            "warning: everybody who reaches this machine can read these sweeps, their settings and logs, unencrypted; \
             an SSH tunnel to 127.0.0.1 keeps them private\n",
        );
    }
    output::data(&format!("{url}\n"));
    output::talk(&format!("serving `{}`; Ctrl-C ends it\n", home.root().display()));
    if arguments.open
        && let Err(error) = browser::open(&url)
    {
        output::talk(&format!("warning: cannot open a browser: {error}\n"));
    }
    let mut terminated = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    tokio::select! {
        served = serve(listener, page) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
        _ = hung_up.recv() => {}
    }
    Ok(ExitCode::Done)
}

/// Returns the address of a name or address of this machine.
fn address(host: &str, port: u16) -> Result<SocketAddr, Report> {
    let found = (host, port).to_socket_addrs().ok().and_then(|mut found| found.next());
    found.ok_or_else(|| {
        Report::usage(
            format!("`{host}` is no address or name of this machine"),
            "give --host an address such as 127.0.0.1 or 0.0.0.0",
        )
    })
}

fn taken(error: &std::io::Error, address: SocketAddr) -> Report {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => Report::usage(
            format!("port {} is taken on {}", address.port(), address.ip()),
            "give another --port; 0 takes any that is free",
        ),
        _ => Report::usage(
            format!("cannot listen on {address}: {error}"),
            "give --host an address of this machine, and a --port above 1023",
        ),
    }
}

/// Returns the name under which this machine is asked, if that is none of its addresses.
fn name(ip: IpAddr, host: &str) -> Option<String> {
    if ip.is_unspecified() {
        // Nobody can open the address that means all of them.
        return nix::unistd::gethostname().ok()?.into_string().ok();
    }
    host.parse::<IpAddr>().is_err().then(|| host.to_owned())
}

/// Returns what to open. The token stands behind the `#`: browsers send that part to nobody.
fn url(address: SocketAddr, name: Option<&str>, token: Option<&str>) -> String {
    let host = match (name, address.ip()) {
        (Some(name), _) => name.to_owned(),
        (None, IpAddr::V6(ip)) => format!("[{ip}]"),
        (None, IpAddr::V4(ip)) => ip.to_string(),
    };
    let token = token.map_or(String::new(), |token| format!("#token={token}"));
    format!("http://{host}:{}/{token}", address.port())
}

/// Returns 128 bits that nobody can guess, as letters.
fn random_token() -> Result<String, Report> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes))?;
    Ok(bytes.iter().fold(String::new(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    }))
}
