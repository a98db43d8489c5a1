use std::panic;
use std::sync::atomic::{AtomicU32, AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use util::{describe, shape, Area, Field, Shape};

static COUNT: AtomicU32 = AtomicU32::new(0);
static TABLE: [u32; 4] = [1, 2, 3, 4];
thread_local! { static SEEN: std::cell::Cell<u32> = std::cell::Cell::new(0); }

extern "C" { fn lp_apply(); }

#[inline(never)]
fn body(n: u32) -> u32 { COUNT.fetch_add(1, Ordering::Relaxed); SEEN.with(|s| s.set(s.get() + 1)); n * 3 + TABLE[(n % 4) as usize] }
#[inline(never)]
fn text() -> &'static str { "old text" }
#[inline(never)]
fn checked(n: u32) -> u32 { n + 1 }
#[inline(never)]
fn closure(v: &[u32]) -> u32 { v.iter().map(|x| x * 2).sum() }

#[inline(never)]
fn keep() -> Box<dyn Fn(u32) -> u32> { Box::new(|x| std::hint::black_box(x) + 1) }

fn probe(field: &dyn Area, s: &Shape) -> String {
    let caught = panic::catch_unwind(|| checked(7)).map(|n| n.to_string()).unwrap_or("caught".into());
    format!("{} {} {} {} {} {} {}", body(5), text(), caught, describe(7u32), field.area(2), closure(&[1, 2, 3]), shape(s))
}

fn main() {
    panic::set_hook(Box::new(|_| {}));
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..3).map(|_| { let stop = stop.clone(); thread::spawn(move || {
        let f: Box<dyn Area + Send> = Box::new(Field { w: 3, h: 4 });
        loop {
            let last = probe(&*f, &Shape::Square { side: 5 });
            if stop.load(Ordering::Relaxed) { return last }
        }
    })}).collect();
    let f = Field { w: 3, h: 4 };
    let kept = keep();
    println!("{}", probe(&f, &Shape::Circle(2)));
    let before = COUNT.load(Ordering::Relaxed);
    unsafe { lp_apply() };
    println!("{}", probe(&f, &Shape::Circle(2)));
    thread::sleep(std::time::Duration::from_millis(50));
    stop.store(true, Ordering::Relaxed);
    for w in workers { println!("{}", w.join().unwrap()); }
    println!("kept {} {}", kept(1), COUNT.load(Ordering::Relaxed) > before);
}
