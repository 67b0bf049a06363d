void __component_type_object_force_link_scaling_policy(void) {}
