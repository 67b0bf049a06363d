//! The catalog of the simulated cloud: sizes at DigitalOcean's list prices (an hour is 1/672 of a month), regions and
//! images. It includes the slugs of the tutorial, which DigitalOcean has retired, at their former prices.

use doproxy_core::domain::{HourlyPrice, Timestamp};

/// A size.
#[derive(Debug, PartialEq, Eq)]
pub struct Size {
    /// Slug, such as `s-1vcpu-1gb`.
    pub slug: &'static str,
    /// Name of the size class.
    pub description: &'static str,
    /// Memory, in MiB.
    pub memory_mb: u32,
    /// Number of virtual CPUs.
    pub vcpus: u32,
    /// Disk, in GiB.
    pub disk_gb: u32,
    /// Included transfer, in TB.
    pub transfer_tb: u32,
    /// Monthly price, in whole dollars.
    pub monthly_dollars: u32,
    /// Hourly price.
    pub hourly_price: HourlyPrice,
    /// Slugs of the regions that offer it.
    pub regions: &'static [&'static str],
}

/// A region.
#[derive(Debug, PartialEq, Eq)]
pub struct Region {
    /// Slug, such as `nyc3`.
    pub slug: &'static str,
    /// Display name, such as `New York 3`.
    pub name: &'static str,
    /// True if droplets can be created there.
    pub available: bool,
}

/// An image.
#[derive(Debug, PartialEq, Eq)]
pub struct Image {
    /// ID.
    pub id: u64,
    /// Slug, such as `ubuntu-22-04-x64`.
    pub slug: &'static str,
    /// Name, such as `22.04 (LTS) x64`.
    pub name: &'static str,
    /// Distribution, such as `Ubuntu`.
    pub distribution: &'static str,
    /// Publication time.
    pub created_at: Timestamp,
}

/// An SSH key of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// ID.
    pub id: u64,
    /// Name.
    pub name: String,
    /// Fingerprint, in the old colon-separated form that the API uses.
    pub fingerprint: String,
    /// Public key.
    pub public_key: String,
}

impl SshKey {
    /// Returns the account's default key.
    pub fn example() -> Self {
        Self {
            id: 512_189,
            name: "example".to_owned(),
            fingerprint: "3b:16:bf:e4:8b:00:8b:b8:59:8c:a9:d3:f0:19:45:fa".to_owned(),
            public_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA example"
                .to_owned(),
        }
    }
}

const ALL_REGIONS: &[&str] =
    &["ams3", "blr1", "fra1", "lon1", "nyc1", "nyc2", "nyc3", "sfo2", "sfo3", "sgp1", "syd1", "tor1"];
const LARGE_SIZE_REGIONS: &[&str] = &["ams3", "fra1", "nyc3", "sfo3", "sgp1"];

#[expect(clippy::too_many_arguments, reason = "a row of the table below")]
const fn size(
    slug: &'static str,
    description: &'static str,
    memory_mb: u32,
    vcpus: u32,
    disk_gb: u32,
    transfer_tb: u32,
    monthly_dollars: u32,
    micro_dollars_per_hour: u64,
    regions: &'static [&'static str],
) -> Size {
    let hourly_price = HourlyPrice::from_micro_dollars(micro_dollars_per_hour);
    Size { slug, description, memory_mb, vcpus, disk_gb, transfer_tb, monthly_dollars, hourly_price, regions }
}

/// All sizes.
pub static SIZES: [Size; 15] = [
    size("s-1vcpu-512mb-10gb", "Basic", 512, 1, 10, 1, 4, 5_950, ALL_REGIONS),
    size("s-1vcpu-1gb", "Basic", 1024, 1, 25, 1, 6, 8_930, ALL_REGIONS),
    size("s-1vcpu-2gb", "Basic", 2048, 1, 50, 2, 12, 17_860, ALL_REGIONS),
    size("s-2vcpu-2gb", "Basic", 2048, 2, 60, 3, 18, 26_790, ALL_REGIONS),
    size("s-2vcpu-4gb", "Basic", 4096, 2, 80, 4, 24, 35_710, ALL_REGIONS),
    size("s-4vcpu-8gb", "Basic", 8192, 4, 160, 5, 48, 71_430, ALL_REGIONS),
    size("s-8vcpu-16gb", "Basic", 16_384, 8, 320, 6, 96, 142_860, ALL_REGIONS),
    size("c-2", "CPU-Optimized", 4096, 2, 25, 4, 42, 62_500, LARGE_SIZE_REGIONS),
    size("c-4", "CPU-Optimized", 8192, 4, 50, 5, 84, 125_000, LARGE_SIZE_REGIONS),
    size("g-2vcpu-8gb", "General Purpose", 8192, 2, 25, 4, 63, 93_750, LARGE_SIZE_REGIONS),
    size("m-2vcpu-16gb", "Memory-Optimized", 16_384, 2, 50, 4, 84, 125_000, LARGE_SIZE_REGIONS),
    size("512mb", "Standard", 512, 1, 20, 1, 5, 7_440, ALL_REGIONS),
    size("1gb", "Standard", 1024, 1, 30, 2, 10, 14_880, ALL_REGIONS),
    size("2gb", "Standard", 2048, 2, 40, 3, 20, 29_760, ALL_REGIONS),
    size("4gb", "Standard", 4096, 2, 60, 4, 40, 59_520, ALL_REGIONS),
];

const fn region(slug: &'static str, name: &'static str, available: bool) -> Region {
    Region { slug, name, available }
}

/// All regions.
pub static REGIONS: [Region; 14] = [
    region("ams2", "Amsterdam 2", false),
    region("ams3", "Amsterdam 3", true),
    region("blr1", "Bangalore 1", true),
    region("fra1", "Frankfurt 1", true),
    region("lon1", "London 1", true),
    region("nyc1", "New York 1", true),
    region("nyc2", "New York 2", true),
    region("nyc3", "New York 3", true),
    region("sfo1", "San Francisco 1", false),
    region("sfo2", "San Francisco 2", true),
    region("sfo3", "San Francisco 3", true),
    region("sgp1", "Singapore 1", true),
    region("syd1", "Sydney 1", true),
    region("tor1", "Toronto 1", true),
];

const fn image(id: u64, slug: &'static str, name: &'static str, distribution: &'static str, published_s: u64) -> Image {
    Image { id, slug, name, distribution, created_at: Timestamp(published_s * 1000) }
}

/// All images. Every region offers each of them.
pub static IMAGES: [Image; 9] = [
    image(6_918_990, "ubuntu-14-04-x64", "14.04 x64", "Ubuntu", 1_413_550_000),
    image(15_611_095, "ubuntu-16-04-x64", "16.04 x64", "Ubuntu", 1_461_250_000),
    image(53_893_572, "ubuntu-18-04-x64", "18.04 (LTS) x64", "Ubuntu", 1_571_660_000),
    image(63_663_980, "ubuntu-20-04-x64", "20.04 (LTS) x64", "Ubuntu", 1_589_521_670),
    image(106_433_672, "ubuntu-22-04-x64", "22.04 (LTS) x64", "Ubuntu", 1_650_600_000),
    image(155_133_621, "ubuntu-24-04-x64", "24.04 (LTS) x64", "Ubuntu", 1_714_060_000),
    image(112_929_454, "debian-11-x64", "11 x64", "Debian", 1_629_000_000),
    image(133_691_874, "debian-12-x64", "12 x64", "Debian", 1_686_400_000),
    image(127_084_113, "rockylinux-9-x64", "9 x64", "Rocky Linux", 1_657_800_000),
];

/// Returns the size with this slug.
pub fn size_by_slug(slug: &str) -> Option<&'static Size> {
    SIZES.iter().find(|size| size.slug == slug)
}

/// Returns the region with this slug.
pub fn region_by_slug(slug: &str) -> Option<&'static Region> {
    REGIONS.iter().find(|region| region.slug == slug)
}

/// Returns the image with this slug or ID.
pub fn image_by_slug_or_id(slug_or_id: &str) -> Option<&'static Image> {
    let id = slug_or_id.parse().ok();
    IMAGES.iter().find(|image| image.slug == slug_or_id || Some(image.id) == id)
}
