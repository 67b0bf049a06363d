//! doproxy.yml.
