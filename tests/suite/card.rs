//! probe
#[test]
fn probe() {
    let bench = posd::sim::vpcd::Bench::start().unwrap();
    println!("{:?}", bench.socket());
    bench.insert("unionpay").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    println!("{}", bench.status().unwrap());
    let o = std::process::Command::new("timeout")
        .args(["3", "pcsc_scan", "-n"])
        .env("PCSCLITE_CSOCK_NAME", bench.socket())
        .output()
        .unwrap();
    println!("{}", String::from_utf8_lossy(&o.stdout));
    println!("{}", bench.pcscd_log());
}
