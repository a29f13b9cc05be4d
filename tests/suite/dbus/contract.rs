//! The shipped XML against what the daemon says of itself, and the shipped policy files against a real bus.
use super::world::*;
use zbus::fdo::IntrospectableProxy;

#[test]
fn dump() {
    run(async {
        let world = World::start().await;
        let id = world.sale("a-1").await;
        world.tell(posd::engine::handle::Notice::Job(std::sync::Arc::new(job(1)))).await;
        let t = posd::api::proxy::TransactionProxy::builder(&world.client).path(format!("/org/posd/Pos1/transaction/{id}")).unwrap().build().await.unwrap();
        t.reprint("merchant", Default::default()).await.unwrap();
        for path in ["/org/posd/Pos1".to_owned(), format!("/org/posd/Pos1/transaction/{id}"), "/org/posd/Pos1/job/1".into(), "/org/posd/Pos1/reader/0".into(), "/org/posd/Pos1/printer/0".into(), "/org/posd/Pos1/printjob/ab_1".into()] {
            let p = IntrospectableProxy::builder(&world.client).destination("org.posd.Pos1").unwrap().path(path).unwrap().build().await.unwrap();
            println!("{}", p.introspect().await.unwrap());
        }
    });
}
